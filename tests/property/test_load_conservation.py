"""G11: whatever a server does, whenever the run is stopped: every request is one of six things, and is told once."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.answer import Answer
from loadtest.engine.inproc import InprocEngine, TargetRefused
from loadtest.live import Progress
from loadtest.pacer import Pacer
from loadtest.quantity import MS, S
from loadtest.record import Recorder
from loadtest.request import Requests
from loadtest.run import Run, open_run
from loadtest.sample import NEVER, NOTHING
from loadtest.view import view
from loadtest.worker import drive
from tests.fabricated import fabricate
from tests.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

TIMEOUT_NS = 300 * MS
_ANSWER = Answer(rung="small", degraded="budget", route="cards", reason="model")


@dataclass(frozen=True)
class Deed:
    """What a server does with one request."""

    kind: str  # answer, shed, fail, hang
    after_ns: int


DEEDS = st.builds(Deed, st.sampled_from(("answer", "answer", "shed", "fail", "hang")), st.integers(0, 2 * TIMEOUT_NS))


class RandomServer:
    """Does with each request what it was told to; once it has died it fails them all."""

    def __init__(self, loop: VirtualLoop, deeds: list[Deed], dies_ns: int) -> None:
        self._loop, self._deeds, self._dies_ns = loop, iter(deeds), dies_ns
        self.ends: Counter[str] = Counter()

    async def open(self) -> None:
        return

    async def ask(self, body: bytes, budget_ns: int) -> Answer:
        deed = next(self._deeds)
        if self._loop.clock.now_ns() >= self._dies_ns:
            raise ConnectionResetError
        await (asyncio.sleep(deed.after_ns / S) if deed.kind != "hang" else self._loop.create_future())
        self.ends[deed.kind] += 1
        if deed.kind == "shed":
            raise TargetRefused(503)
        if deed.kind == "fail":
            raise RuntimeError("told to fail")
        return _ANSWER

    async def set_faults(self, faults: Mapping[str, Any]) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        return


def play(made: Run, deeds: list[Deed], dies_ns: int, stops_ns: int) -> tuple[Recorder, RandomServer, Progress]:
    """A run from its start until nothing of it is left."""

    async def main(loop: VirtualLoop) -> tuple[Recorder, RandomServer, Progress]:
        requests, recorder = Requests(made), Recorder(made.samples, loop.clock.now_ns)
        server, stop, progress = RandomServer(loop, deeds, dies_ns), asyncio.Event(), Progress(made)
        engine = InprocEngine(server, requests, recorder, TIMEOUT_NS)
        pacer = Pacer(range(len(made.planned)), requests.intended_ns, engine.send, recorder, spin_ns=0)
        loop.call_later(stops_ns / S, stop.set)
        loop.call_later(stops_ns / S / 2, lambda: progress.snapshot(loop.clock.now_ns()))  # somebody watches
        await engine.open()
        await drive(pacer, engine, recorder, stop, TIMEOUT_NS + S)
        await engine.close()
        return recorder, server, progress

    return run(main)


@settings(max_examples=150, deadline=None)
@given(
    deeds=st.lists(DEEDS, min_size=1, max_size=60),
    gap_ns=st.integers(0, 40 * MS),
    dies_ns=st.integers(0, 4 * S),
    stops_ns=st.integers(0, 4 * S),
)
def test_every_request_is_counted_once(deeds: list[Deed], gap_ns: int, dies_ns: int, stops_ns: int) -> None:
    count = len(deeds)
    with TemporaryDirectory() as folder:
        made = _planned(Path(folder), count, gap_ns)
        recorder, server, progress = play(made, deeds, dies_ns, stops_ns)
        seen, samples = view(made), made.samples
        counts = seen.counts()
        assert sum(counts.values()) == count
        assert recorder.paced_total == recorder.sent_total == (samples["sent_ns"] != NEVER).sum()
        assert counts["unsent"] == count - recorder.sent_total
        assert counts["shed"] == server.ends["shed"]
        assert counts["ok"] + counts["late"] == server.ends["answer"]
        assert recorder.answered_total + recorder.failed_total == (samples["status"] != NOTHING).sum()
        # Who looks on until everything has ended or been given up counts the same.
        assert progress.snapshot(3_600 * S).counts == counts
        del made, seen, samples, progress


def _planned(folder: Path, count: int, gap_ns: int) -> Run:
    """A run that has not begun."""
    made = fabricate(folder / "run", np.full(count, NEVER), intended_ns=np.arange(count) * gap_ns)
    writable = open_run(made.path, writable=True)
    for field in ("paced_ns", "sent_ns", "first_ns", "done_ns", "server_us", "route"):
        writable.samples[field] = NEVER
    return writable
