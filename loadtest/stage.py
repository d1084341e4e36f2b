"""What stands around the generators during a run: the server, if we start it, a proxy, and whoever breaks things."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from loadtest.errors import ScenarioError, Unreachable
from loadtest.fault.actor import Actor, FaultFailed, Freeze, ProxyFaults, ServerFaults
from loadtest.fault.drill import Drill
from loadtest.fault.exchange import exchange
from loadtest.fault.subject import Subject
from loadtest.fault.timeline import timeline
from loadtest.wire import BadHttp

if TYPE_CHECKING:
    from types import TracebackType

    from budgets.clock import Clock
    from loadtest.engine.inproc import Target
    from loadtest.run import FaultRecord
    from loadtest.scenario.spec import Scenario

_OK = 200


class Stage:
    """An async context that lasts as long as a run.

    Args:
        pid: of a server that we did not start, for `sigstop`.
        token: the server's admin token; it is not part of the scenario, which the report shows.
        target: where there is no server but an object in this process.
    Raises: ScenarioError: a fault that nobody can play.
    """

    def __init__(
        self, scenario: Scenario, pid: int | None = None, token: str | None = None, target: Target | None = None
    ) -> None:
        self._scenario, self._pid, self._token, self._target = scenario, pid, token, target
        self._events = timeline(scenario.faults)
        self._kinds = {fault.kind for fault in scenario.faults}
        if "sigstop" in self._kinds and scenario.target.start is None and pid is None:
            raise ScenarioError("faults: `sigstop` needs target.start, or the server's process with --pid")
        if target is not None and self._kinds - {"server"}:
            raise ScenarioError("faults: in this process there is no server to freeze and no connection to break")
        self._actors: dict[str, Actor] = {}
        self._around = AsyncExitStack()
        self.url = scenario.target.url  # where the load goes: the proxy's, where there is one

    async def __aenter__(self) -> Self:
        """Start what is to be started. Raises: Unreachable: something does not start, or the server is not ready."""
        try:
            await self._build()
        except BaseException:
            await self._around.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._around.aclose()

    @property
    def headers(self) -> dict[str, str]:
        """The scenario's, and the admin's token: for what only an admin may."""
        secret = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        return {**self._scenario.target.headers, **secret}

    async def play(self, clock: Clock, origin_ns: int, stop: asyncio.Event) -> tuple[FaultRecord, ...]:
        """Break and mend, from `origin_ns` on, until `stop`. Returns: what was broken, and when."""
        drill = Drill(self._scenario.faults, self._actors, clock.now_ns, origin_ns)
        playing, stopping = asyncio.create_task(drill.play(self._events)), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((playing, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:  # cancelled or not, nothing stays broken
            for task in (playing, stopping):
                task.cancel()
            await asyncio.gather(playing, stopping, return_exceptions=True)
        if not playing.cancelled() and (error := playing.exception()) is not None:
            raise error
        return drill.records

    async def _build(self) -> None:
        target = self._scenario.target
        if self._target is not None:
            self._actors["server"] = _TargetFaults(self._target)
            return
        ready_url = target.url.rstrip("/") + target.ready
        if target.start is not None:
            subject = await self._around.enter_async_context(Subject(target.start, ready_url))
            self._actors["sigstop"] = Freeze(subject.pid, is_group=True)
        else:
            if target.answers == "takt":
                await _require_ready(ready_url)
            if self._pid is not None:
                self._actors["sigstop"] = Freeze(self._pid)
        self._actors["server"] = ServerFaults(target.url, self.headers)
        if "proxy" in self._kinds:
            proxy = await self._around.enter_async_context(ProxyFaults(target.url, self._scenario.seed))
            self._actors["proxy"] = proxy
            self.url = proxy.url


async def _require_ready(url: str) -> None:
    try:
        status = (await exchange("GET", url)).status
    except (OSError, BadHttp) as error:
        raise Unreachable(
            f"{url}: {error or 'no answer'}; start the server first (takt serve), name it with --target URL, or let "
            "--start 'COMMAND' start it"
        ) from error
    if status != _OK:
        raise Unreachable(f"{url}: answers {status}; the server is not ready (a server without it: --answers any)")


class _TargetFaults:
    """Faults of a target in this process."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def apply(self, state: dict[str, Any] | None) -> None:
        try:
            await self._target.set_faults(state or {})
        except ScenarioError as error:
            raise FaultFailed(str(error)) from error
