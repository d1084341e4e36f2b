"""The generators of a run: worker processes, or this one. Both are made ready, let go, stopped and waited for."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Protocol

import msgspec

from budgets.clock import SystemClock
from loadtest.engine.inproc import InprocEngine
from loadtest.errors import Unreachable
from loadtest.pacer import Pacer
from loadtest.quantity import S
from loadtest.request import Requests
from loadtest.run import Run, WorkerHealth
from loadtest.worker import drive, known_routes, make_recorder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.engine.inproc import Target

_READY_WITHIN_S = 60.0


class Crew(Protocol):
    """What sends."""

    async def ready(self) -> None:
        """Connect. Raises: Unreachable."""
        ...

    def go(self, origin_ns: int) -> None:
        """Begin; every time of the schedule counts from `origin_ns` of the monotonic clock."""
        ...

    def stop(self) -> None:
        """Send no more, wait a second for answers."""
        ...

    async def finished(self) -> tuple[WorkerHealth, ...]:
        """Wait until all have ended."""
        ...

    async def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        ...


class Workers:
    """Processes of loadtest.worker.

    Args:
        url: where to send: the target's, or that of a proxy before it.
        pin: cores, one after another; none: wherever the system puts them. Linux only.
    """

    def __init__(self, run: Run, count: int, url: str, pin: Sequence[int] = ()) -> None:
        self._run, self._count, self._url, self._pin = run, count, url, pin
        self._processes: list[asyncio.subprocess.Process] = []

    async def ready(self) -> None:
        for index in range(self._count):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "loadtest.worker", str(self._run.path), str(index), str(self._count), self._url,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24,
                start_new_session=True,  # Ctrl-C is for us, also while they start
            )  # fmt: skip
            self._processes.append(process)
            if self._pin:
                os.sched_setaffinity(process.pid, {self._pin[index % len(self._pin)]})
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                said = await asyncio.gather(*(_line(process) for process in self._processes))
        except TimeoutError:
            raise Unreachable(f"the generators were not ready within {_READY_WITHIN_S:.0f} s") from None
        for line in said:
            if not line:
                raise Unreachable("a generator process died before it was ready; its error is above")
            answer: dict[str, object] = msgspec.json.decode(line)
            if "error" in answer:
                raise Unreachable(str(answer["error"]))

    def go(self, origin_ns: int) -> None:
        self._say(b"%d\n" % origin_ns)

    def stop(self) -> None:
        self._say(b"stop\n")

    async def finished(self) -> tuple[WorkerHealth, ...]:
        said = await asyncio.gather(*(_line(process) for process in self._processes))
        known = tuple(known_routes(self._run))
        return tuple(
            msgspec.json.decode(line, type=WorkerHealth)
            if line
            else WorkerHealth(index=index, ended="killed", routes=known)
            for index, line in enumerate(said)
        )

    async def close(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                if process.stdin is not None:
                    process.stdin.close()  # who still listens, stops
                try:
                    async with asyncio.timeout(2):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()

    def _say(self, line: bytes) -> None:
        for process in self._processes:
            if process.returncode is None and process.stdin is not None:
                process.stdin.write(line)


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    return await process.stdout.readline()


class Alone:
    """This process asks a target that lives in it: no sockets, one event loop for both."""

    def __init__(self, run: Run, target: Target) -> None:
        self._run = run
        self._stop = asyncio.Event()
        self._clock = SystemClock()
        self._recorder = make_recorder(run, self._clock.now_ns)
        self._requests = Requests(run)
        self._engine = InprocEngine(target, self._requests, self._recorder, run.record.scenario.target.timeout)

    async def ready(self) -> None:
        await self._engine.open()

    def go(self, origin_ns: int) -> None:
        self._recorder.origin_ns = origin_ns
        # No spinning: it would keep the interpreter from the target's threads.
        pacer = Pacer(
            range(len(self._run.planned)), self._requests.intended_ns, self._engine.send, self._recorder, spin_ns=0
        )
        patience_ns = self._run.record.scenario.target.timeout + S
        self._begun_ns = self._clock.now_ns()
        self._driving = asyncio.create_task(
            drive(pacer, self._engine, self._recorder, self._stop, patience_ns), name="drive"
        )

    def stop(self) -> None:
        self._stop.set()

    async def finished(self) -> tuple[WorkerHealth, ...]:
        await self._driving
        recorder = self._recorder
        # No CPU time: it is the target's too, so it can't tell whether the generator was busy; lag tells.
        return (
            WorkerHealth(
                index=0,
                ended="stopped" if self._stop.is_set() else "done",
                wall_ns=self._clock.now_ns() - self._begun_ns,
                paced_total=recorder.paced_total,
                sent_total=recorder.sent_total,
                answered_total=recorder.answered_total,
                failed_total=recorder.failed_total,
                routes=tuple(recorder.routes),
            ),
        )

    async def close(self) -> None:
        await self._engine.close()
