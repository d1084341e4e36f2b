"""One generator process. Reads a run's plan, sends its share of it, writes what happens into the run's samples.

parent                         worker (python -m loadtest.worker RUN INDEX OF URL)
  ── starts ──────────────────►  connects
  ◄── {"ready": true} ─────────  or {"error": …}
  ── the run's origin, ns ────►  sends; row i belongs to worker i % OF
  ── "stop", or stdin closes ─►  sends no more, waits a second for answers
  ◄── WorkerHealth ────────────
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uvloop

from budgets.clock import SystemClock
from loadtest.engine.raw import RawEngine
from loadtest.errors import LoadtestError
from loadtest.pacer import Pacer
from loadtest.quantity import S
from loadtest.record import Recorder
from loadtest.request import Requests
from loadtest.run import Run, WorkerHealth, open_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.engine.base import Engine
    from loadtest.engine.session import SessionEngine

_LOOK_S = 0.005
_AFTER_STOP_NS = 1 * S


async def drive(pacer: Pacer, engine: Engine, recorder: Recorder, stop: asyncio.Event, patience_ns: int) -> None:
    """Send everything at its time, then wait until all has ended, at most `patience_ns`; a second after `stop`.

    The engine is open, and stays so. Whatever the clock and the loop are: virtual time too.
    """
    await pacer.run(stop)
    sent_ns = recorder.now_ns()
    stopped_ns: int | None = None
    while engine.pending:
        now_ns = recorder.now_ns()
        if stop.is_set() and stopped_ns is None:
            stopped_ns = now_ns
        if now_ns - sent_ns > patience_ns or (stopped_ns is not None and now_ns - stopped_ns > _AFTER_STOP_NS):
            return
        await asyncio.sleep(_LOOK_S)


def share_of(total: int, index: int, of: int) -> range:
    """The rows of one worker, or its connections."""
    return range(index, total, of)


def known_routes(run: Run) -> list[str]:
    """The labels of what is sent: whatever happens to a worker, these are understood."""
    return sorted({each.label for each in run.payloads if each.label is not None})


def make_recorder(run: Run, now_ns: Callable[[], int]) -> Recorder:
    reads = run.record.scenario.target.answers == "takt"
    return Recorder(run.samples, now_ns, known_routes(run), reads_answers=reads)


class _GcWatch:
    """How long garbage collection held the worker up."""

    def __init__(self) -> None:
        self.total = self.longest_ns = self._since_ns = 0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _info: dict[str, int]) -> None:
        now_ns = time.monotonic_ns()
        if phase == "start":
            self._since_ns = now_ns
        else:
            self.total += 1
            self.longest_ns = max(self.longest_ns, now_ns - self._since_ns)


async def _work(run: Run, index: int, of: int, url: str) -> WorkerHealth:
    target = run.record.scenario.target
    clock = SystemClock()
    recorder = make_recorder(run, clock.now_ns)
    requests = Requests(run)
    rows = share_of(len(run.planned), index, of)
    connections = max(1, len(share_of(target.connections, index, of)))
    engine = _make_engine(run, requests, recorder, url, connections)
    await engine.open()
    pacer = Pacer(rows, requests.intended_ns, engine.send, recorder)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    origin: asyncio.Future[int] = loop.create_future()
    threading.Thread(target=_listen, args=(loop, origin, stop), daemon=True).start()
    _tell(b'{"ready":true}')
    recorder.origin_ns = await origin
    gc.collect()
    gc.freeze()
    watch = _GcWatch()
    if run.record.engine == "raw":  # makes no cycles
        gc.disable()
    before_ns, cpu_ns = clock.now_ns(), time.process_time_ns()
    await drive(pacer, engine, recorder, stop, target.timeout + S)
    wall_ns, cpu_ns = clock.now_ns() - before_ns, time.process_time_ns() - cpu_ns
    await engine.close()
    return WorkerHealth(
        index=index,
        ended="stopped" if stop.is_set() else "done",
        wall_ns=wall_ns,
        cpu_ns=cpu_ns,
        spin_ns=min(pacer.spin_ns, cpu_ns),
        gc_total=watch.total,
        gc_max_ns=watch.longest_ns,
        paced_total=recorder.paced_total,
        sent_total=recorder.sent_total,
        answered_total=recorder.answered_total,
        failed_total=recorder.failed_total,
        waited_total=engine.waited_total,
        connected_total=engine.connected_total,
        routes=tuple(recorder.routes),
    )


def _make_engine(
    run: Run, requests: Requests, recorder: Recorder, url: str, connections: int
) -> RawEngine | SessionEngine:
    target = run.record.scenario.target
    if run.record.engine == "aiohttp":
        from loadtest.engine.session import SessionEngine  # noqa: PLC0415 - a second to import

        return SessionEngine(requests, recorder, url, connections, target.timeout)
    return RawEngine(requests, recorder, url, connections, target.timeout)


def _listen(loop: asyncio.AbstractEventLoop, origin: asyncio.Future[int], stop: asyncio.Event) -> None:
    """What the parent says; when it is gone, stop."""
    said = sys.stdin.readline().strip()
    with suppress(RuntimeError):  # the loop has ended meanwhile
        if said.isdigit():
            loop.call_soon_threadsafe(origin.set_result, int(said))
            sys.stdin.readline()
        else:
            loop.call_soon_threadsafe(origin.cancel)
        loop.call_soon_threadsafe(stop.set)


def _tell(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def main(argv: list[str]) -> int:
    """A worker's life. Returns: the exit code."""
    path, index, of, url = Path(argv[0]), int(argv[1]), int(argv[2]), argv[3]
    try:
        health = uvloop.run(_work(open_run(path, writable=True), index, of, url))
    except LoadtestError as error:
        _tell(msgspec.json.encode({"error": str(error)}))
        return error.exit_code
    except asyncio.CancelledError:  # the parent is gone before the start
        return 0
    _tell(msgspec.json.encode(health))
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    os._exit(code)  # the thread that reads stdin would be waited for
