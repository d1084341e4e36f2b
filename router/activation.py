"""Models that change while the server serves: a version is loaded and judged beside the one that answers, then swapped.

```
find version -> verify, load, warm up -> pace -> canary -> active.json -> install
      '------------- a thread of its own, which yields to the rest ----'    one assignment on the event loop
```
Whatever goes wrong before the last step leaves the old version in service and on the disk.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from budgets.deadline import NS_PER_MS
from models import canary, errors, registry, store
from models.canary import Comparison
from models.executor import yield_cores
from models.session import missing_providers
from models.spec import MANIFEST_FILE
from router.errors import RequestRefused
from router.policy.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from models.registry import LoadedModels
    from models.store import Version
    from router.config import Config
    from router.telemetry.family import CounterFamily

T = TypeVar("T")
# The rung that is cheap enough to run on the event loop; any other runs on the executor.
INLINE_RUNG = "small"
_LOGGER = logging.getLogger("takt.models")


class ActivationRunning(RequestRefused):
    status, code, retry_after_s = 409, "activation-running", 2


class Activated(Struct, frozen=True, kw_only=True):
    """What became of an activation: what serves now, and what did before. No canary where they are the same."""

    active: str
    previous: str | None
    took_ms: float
    canary: Comparison | None


class Candidate(Struct, frozen=True, kw_only=True):
    """A version that may serve; `loaded` is None where it does already."""

    version: Version
    loaded: LoadedModels | None = None
    canary: Comparison | None = None


def check_providers(config: Config) -> None:
    """Raises: PolicyError: the installed onnxruntime lacks one, and what it has."""
    missing, available = missing_providers(config.settings.models.providers)
    if missing:
        raise PolicyError(
            f"models.providers: the installed onnxruntime has no {', '.join(missing)}; it has {', '.join(available)}"
        )


def prepare(config: Config, version: Version, active: LoadedModels | None, *, force: bool) -> Candidate:
    """Load a version and compare it with the active one. For any thread.

    Args: force: serve it even if it is right less often.
    Raises: ModelError: why it must not serve.
    """
    settings = config.settings
    loaded = load(config, version)
    for name, rung in loaded.rungs.items():
        inline = name == INLINE_RUNG
        limit_ms = settings.models.inline_limit_ms if inline else settings.budget.default_ms
        if rung.p99_ns > limit_ms * NS_PER_MS:
            key = "models.inline_limit_ms" if inline else "budget.default_ms"
            raise errors.TooSlow(f"{name}: takes {rung.p99_ns / NS_PER_MS:.2f} ms here (p99); {key} is {limit_ms:g}")
    rows = canary.read(version.path)
    if active is None:
        return Candidate(version=version, loaded=loaded, canary=Comparison(texts=0, note="nothing to compare with"))
    if not rows:
        note = f"not compared: the version has no {canary.CANARY_FILE}"
        return Candidate(version=version, loaded=loaded, canary=Comparison(texts=0, note=note))
    comparison = canary.compare(loaded, active, rows, rest=_rest)
    if not force:
        canary.refuse_loss(comparison, settings.models.canary_loss_share)
    return Candidate(version=version, loaded=loaded, canary=comparison)


def load(config: Config, version: Version) -> LoadedModels:
    """Load a version under its name. Raises: ModelError: unusable, or its manifest was altered."""
    loaded = registry.load(version.path, config.settings.models.providers)
    if loaded.manifest.plan_version != version.id:
        raise errors.ManifestError(
            version.path / MANIFEST_FILE, f"is of version {loaded.manifest.plan_version}, not {version.id}: altered"
        )
    return loaded


def _rest(cost_ns: int) -> None:
    """Leave the core, and the interpreter, to others for as long as was just used."""
    time.sleep(cost_ns / 1e9)


class Activator:
    """Keeps the server's models: one change at a time. The event loop owns it; `install` runs on it."""

    def __init__(self, config: Config, install: Callable[[LoadedModels], None], outcomes: CounterFamily) -> None:
        self.loaded: LoadedModels | None = None  # what answers now
        self._config = config
        self._install = install
        self._outcomes = outcomes
        self._running: asyncio.Task[Any] | None = None
        self._again = False  # a signal came while a change was under way

    async def start(self) -> None:
        """Load the active version and serve it. Raises: ModelError."""
        models_dir = self._config.models_dir
        began_ns = time.monotonic_ns()
        self.loaded = await in_background(lambda: load(self._config, store.resolve(models_dir)))
        self._install(self.loaded)
        _LOGGER.info("model_loaded", extra=_facts(self.loaded) | {"took_ms": _since_ms(began_ns)})
        self._take_up_again()

    async def activate(self, asked: str, *, force: bool = False) -> Activated:
        """Serve a version and make it active on disk; goes on if the caller is cancelled.

        Raises: ActivationRunning: another change is under way; ModelError: refused, the old version serves on.
        """
        find = partial(store.find, self._config.models_dir, asked)
        return await asyncio.shield(self._begin(self._change(find, self._record, force=force)))

    async def rollback(self) -> Activated:
        """Serve the version that was active before, however right it is. Raises: as `activate`."""
        models_dir = self._config.models_dir
        find = partial(store.former, models_dir)

        def record(version: Version) -> None:
            store.rollback(models_dir, version.id)

        return await asyncio.shield(self._begin(self._change(find, record, force=True)))

    def take_up(self) -> None:
        """Serve what is active on disk, as soon as no other change is under way; the log tells what became of it."""
        if self.loaded is None or self._running is not None:
            self._again = True
        else:
            find = partial(store.resolve, self._config.models_dir)
            self._begin(self._change(find, lambda _: None, force=False))

    async def close(self) -> None:
        """Give up a change that is under way."""
        self._again = False
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))

    def _begin(self, change: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a change as a task of its own: who asked for it may leave."""
        if self.loaded is None or self._running is not None:
            change.close()
            raise ActivationRunning("another version is being loaded; try again when it is in service or refused")
        task = asyncio.create_task(change)
        self._running = task
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running = None
        if not task.cancelled():
            task.exception()  # it has been logged, and whoever waits still gets it
        self._take_up_again()

    def _take_up_again(self) -> None:
        if self._again:
            self._again = False
            self.take_up()

    async def _change(
        self, find: Callable[[], Version], record: Callable[[Version], None], *, force: bool
    ) -> Activated:
        began_ns = time.monotonic_ns()
        try:
            candidate = await in_background(partial(self._judge, find, record, force=force))
        except Exception as error:
            self._outcomes.child("refused").inc()
            effect = "the version before serves on"
            _LOGGER.warning("model_refused", extra={"why": str(error) or repr(error), "effect": effect})
            raise
        before, active = self._serving(), candidate.version.id
        took_ms = _since_ms(began_ns)
        if candidate.loaded is None:
            _LOGGER.info("model_unchanged", extra={"version": active})
        else:
            self.loaded = candidate.loaded
            self._install(candidate.loaded)
            self._outcomes.child("activated").inc()
            facts = _facts(candidate.loaded) | {"previous": before, "took_ms": took_ms}
            _LOGGER.info("model_activated", extra=facts)
        return Activated(active=active, previous=before, took_ms=took_ms, canary=candidate.canary)

    def _judge(self, find: Callable[[], Version], record: Callable[[Version], None], *, force: bool) -> Candidate:
        """In the thread. On disk first: what cannot be recorded must not serve, or a restart would undo it."""
        version = find()
        if version.id == self._serving():
            candidate = Candidate(version=version)
        else:
            candidate = prepare(self._config, version, self.loaded, force=force)
        record(version)
        return candidate

    def _record(self, version: Version) -> None:
        store.activate(self._config.models_dir, version.id, serving=self._serving())

    def _serving(self) -> str | None:
        return None if self.loaded is None else self.loaded.manifest.plan_version


def _facts(loaded: LoadedModels) -> dict[str, object]:
    """For the log: what serves, and what was left out of it."""
    manifest = loaded.manifest
    rungs = ", ".join(rung.name for rung in manifest.rungs)
    return {"version": manifest.plan_version, "rungs": rungs, "notes": "; ".join(manifest.notes)}


def _since_ms(began_ns: int) -> float:
    return round((time.monotonic_ns() - began_ns) / NS_PER_MS, 1)


def in_background(work: Callable[[], T]) -> asyncio.Future[T]:
    """Run `work` in a thread of its own, which delays nothing, the end of the process included."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: Exception | None) -> None:
        if future.done():  # nobody waits any more
            return
        if error is None:
            future.set_result(value)  # type: ignore[arg-type] # there is a value where there is no error
        else:
            future.set_exception(error)

    def run() -> None:
        yield_cores()
        value, failed = None, None
        try:
            value = work()
        except Exception as error:  # noqa: BLE001 - it is the waiter's
            failed = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, value, failed)

    threading.Thread(target=run, name="takt-activation", daemon=True).start()
    return future
