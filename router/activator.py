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
import time
from contextlib import suppress
from functools import partial
from threading import Event, Lock
from typing import TYPE_CHECKING, TypeVar

from budgets.deadline import NS_PER_MS
from models import errors, store
from router.activation import Activated, Candidate, load, prepare, rest_as_long
from router.background import Background
from router.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from models.registry import LoadedModels
    from models.store import Version
    from router.config import Config
    from router.telemetry.family import CounterFamily

T = TypeVar("T")
_STAYS_ON_DISK = ", until a restart: `takt models rollback` makes it the active one on the disk too"
_LOGGER = logging.getLogger("takt.models")


class ActivationRunning(RequestRefused):
    status, code, retry_after_s = 409, "activation-running", 2


class Closing(RequestRefused):
    """The server drains: the old version serves to the end, and stays active on disk."""

    status, code, retry_after_s = 503, "unavailable", 1

    def __init__(self) -> None:
        super().__init__("draining: this server takes up no other version any more")


class Activator:
    """Keeps the server's models: one change at a time. The event loop owns it; `install` runs on it."""

    def __init__(self, config: Config, install: Callable[[LoadedModels], None], outcomes: CounterFamily) -> None:
        self.loaded: LoadedModels | None = None  # what answers now
        self._config = config
        self._install = install
        self._outcomes = outcomes
        self._background = Background()
        self._running: asyncio.Task[Any] | None = None
        self._again = False  # a signal came while a change was under way
        self._closing = Event()
        self._fate = Lock()  # of the change under way: whoever gets it first records the change, or gives it up

    async def start(self) -> None:
        """Load the active version and serve it. Raises: ModelError."""
        models_dir = self._config.models_dir
        began_ns = time.monotonic_ns()
        self.loaded = await self._background.run(lambda: load(self._config, store.resolve(models_dir)))
        self._install(self.loaded)
        _LOGGER.info("model_loaded", extra=_facts(self.loaded) | {"took_ms": _since_ms(began_ns)})
        self._take_up_again()

    async def activate(self, asked: str, *, force: bool = False) -> Activated:
        """Serve a version and make it active on disk; goes on if the caller is cancelled.

        Raises:
            ActivationRunning: another change is under way.
            Closing: the server drains.
            ModelError: refused, the old version serves on.
        """
        models_dir = self._config.models_dir

        def find() -> tuple[Version, bool]:
            return store.find(models_dir, asked), force

        def record(version: Version) -> None:
            store.activate(models_dir, version.id, serving=self._serving(), forced=force)

        return await self._outcome(self._begin(self._change(find, record)))

    async def rollback(self) -> Activated:
        """Serve the version that was active before, however right it is. Raises: as `activate`."""
        models_dir = self._config.models_dir

        def find() -> tuple[Version, bool]:
            return store.former(models_dir), True

        def record(version: Version) -> None:
            store.rollback(models_dir, version.id)

        return await self._outcome(self._begin(self._change(find, record)))

    def take_up(self) -> None:
        """Serve what is active on disk, as soon as no other change is under way; the log tells what became of it."""
        models_dir = self._config.models_dir

        def find() -> tuple[Version, bool]:
            active = store.read_active(models_dir)
            if active is None:
                return store.resolve(models_dir), False
            return store.find(models_dir, active.active), active.forced

        def record(version: Version) -> None:
            with suppress(errors.StoreFailed):  # what is active is on the disk already
                store.take_over(models_dir, version.id, self._serving())

        if self._closing.is_set():
            return
        if self.loaded is None or self._running is not None:
            self._again = True
        else:
            self._begin(self._change(find, record, stays=_STAYS_ON_DISK))

    def stop(self) -> None:
        """Begin no change any more, and give up one that is under way, unless the disk has it already."""
        self._closing.set()
        if self._running is not None and self._fate.acquire(blocking=False):
            self._running.cancel()

    async def close(self) -> None:
        """`stop`, and wait for the thread, within bounds."""
        self.stop()
        await self._background.join()
        if self._running is not None:  # recorded: it ends by itself, unless the disk hangs
            await asyncio.wait((self._running,), timeout=1)

    async def _outcome(self, change: asyncio.Task[Activated]) -> Activated:
        try:
            return await asyncio.shield(change)
        except asyncio.CancelledError:
            if change.cancelled():
                raise Closing from None
            raise

    def _begin(self, change: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a change as a task of its own: who asked for it may leave."""
        if self._closing.is_set():
            change.close()
            raise Closing
        if self.loaded is None or self._running is not None:
            change.close()
            raise ActivationRunning("another version is being loaded; try again when it is in service or refused")
        self._fate = Lock()
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
        self, find: Callable[[], tuple[Version, bool]], record: Callable[[Version], None], *, stays: str = ""
    ) -> Activated:
        began_ns = time.monotonic_ns()
        try:
            candidate = await self._background.run(partial(self._judge, find, record, self._fate))
        except Exception as error:
            self._outcomes.child("refused").inc()
            effect = f"the version before serves on{stays}"
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

    def _judge(
        self, find: Callable[[], tuple[Version, bool]], record: Callable[[Version], None], fate: Lock
    ) -> Candidate:
        """In the thread. On disk first: what cannot be recorded must not serve, or a restart would undo it."""
        version, force = find()
        if version.id == self._serving():
            candidate = Candidate(version=version)
        else:
            candidate = prepare(self._config, version, self.loaded, force=force, rest=self._rest)
        if not fate.acquire(blocking=False):
            raise Closing
        record(version)
        return candidate

    def _rest(self, cost_ns: int) -> None:
        if self._closing.is_set():
            raise Closing
        rest_as_long(cost_ns)

    def _serving(self) -> str | None:
        return None if self.loaded is None else self.loaded.manifest.plan_version


def _facts(loaded: LoadedModels) -> dict[str, object]:
    """For the log: what serves, and what was left out of it."""
    manifest = loaded.manifest
    rungs = ", ".join(rung.name for rung in manifest.rungs)
    return {"version": manifest.plan_version, "rungs": rungs, "notes": "; ".join(manifest.notes)}


def _since_ms(began_ns: int) -> float:
    return round((time.monotonic_ns() - began_ns) / NS_PER_MS, 1)
