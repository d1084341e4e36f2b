"""loadtest.live: what is told of a run while it runs."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from loadtest import live, terminal
from loadtest.live import Progress, choose_mode, lines, one_line, watch
from loadtest.quantity import MS, Ns, S
from loadtest.run import PhaseRecord, Run, open_run
from loadtest.sample import NEVER
from loadtest.scenario.spec import FaultSpec
from loadtest.view import view
from tests.fabricated import fabricate, scenario
from tests.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.live import Mode, Snapshot
    from loadtest.terminal import Line

FIELDS = ("paced_ns", "sent_ns", "first_ns", "done_ns", "status", "rung", "degraded", "reason", "route", "server_us")


class Tape:
    """A finished run that happens again: at any time, what had been written by then."""

    def __init__(self, made: Run) -> None:
        self.whole = made.samples.copy()
        self.run = open_run(made.path, writable=True)
        self.forward(-1)

    def forward(self, now_ns: int) -> None:
        samples, whole = self.run.samples, self.whole
        for field in ("paced_ns", "sent_ns"):
            samples[field] = np.where(whole[field] <= now_ns, whole[field], NEVER)
        is_done = (whole["done_ns"] != NEVER) & (whole["done_ns"] <= now_ns)
        for field in ("first_ns", "done_ns", "route", "server_us"):
            samples[field] = np.where(is_done, whole[field], NEVER)
        for field in ("status", "rung", "degraded", "reason"):
            samples[field] = np.where(is_done, whole[field], 0)


def mixed(path: Path, count: int = 2_000) -> Run:
    """20 s at 100/s of all that can become of a request."""
    rng = np.random.default_rng(1)
    status = rng.choice([200, 200, 200, 200, 503, 500, -1], count)
    latency_ns = np.where(rng.random(count) < 0.1, NEVER, rng.integers(1, 200, count) * MS)
    rung = rng.choice(["large", "small"], count)
    phases = (
        PhaseRecord(name="calm", start_ns=0, end_ns=10 * S, measure=True),
        PhaseRecord(name="flash", start_ns=10 * S, end_ns=20 * S, measure=True),
    )
    fault = FaultSpec(at=Ns(5 * S), for_=Ns(2 * S), kind="server", set={"large": {"delay_ms": 80}})
    return fabricate(path, latency_ns, status=status, rung=rung, phases=phases, of=scenario(20, faults=[fault]))


def test_in_the_end_it_has_counted_what_the_report_counts(tmp_path: Path) -> None:
    tape = Tape(mixed(tmp_path))
    progress = Progress(tape.run)
    for at_ns in range(0, 21 * S, S // 2):
        tape.forward(at_ns)
        progress.snapshot(at_ns)
    seen = progress.snapshot(60 * S)
    assert seen.counts == view(tape.run).counts()
    assert (seen.in_flight, seen.unsent, seen.oldest_ns) == (0, 0, 0)


def test_at_any_time_what_is_due_is_either_counted_or_open(tmp_path: Path) -> None:
    tape = Tape(mixed(tmp_path))
    progress = Progress(tape.run)
    for at_ns in range(0, 15 * S, 370 * MS):
        tape.forward(at_ns)
        seen = progress.snapshot(at_ns)
        due = int((tape.run.planned["intended_ns"] <= at_ns).sum())
        assert sum(seen.counts.values()) + seen.in_flight + seen.unsent == due


def test_what_is_not_answered_yet_is_in_flight_and_not_late(tmp_path: Path) -> None:
    tape = Tape(fabricate(tmp_path, np.full(100, 3 * S), rate=10))
    tape.forward(2 * S)
    seen = Progress(tape.run).snapshot(2 * S)
    assert sum(seen.counts.values()) == 0
    # The one that is due now has been written 25 us after it was due.
    assert (seen.in_flight, seen.unsent, seen.oldest_ns) == (20, 1, 2 * S)
    assert math.isnan(seen.p99_ns)


def test_rates_latencies_and_rungs_are_of_the_last_seconds(tmp_path: Path) -> None:
    count = 1_000
    half = np.arange(count) < count // 2
    made = fabricate(tmp_path, np.where(half, 10, 40) * MS, rung=np.where(half, "large", "rules"), rate=100)
    tape = Tape(made)
    progress = Progress(tape.run)
    seen = None
    for at_ns in range(0, 10 * S, S // 2):
        tape.forward(at_ns)
        seen = progress.snapshot(at_ns)
        if at_ns == S:
            assert seen.target_rate == pytest.approx(100, abs=1)
    assert seen is not None
    assert seen.target_rate == 100
    assert seen.sent_rate == pytest.approx(100, abs=1)
    assert (seen.p50_ns, seen.p99_ns) == (40 * MS, 40 * MS)
    assert set(seen.rungs) == {"rules"}
    assert seen.lag_p99_ns == pytest.approx(20_000)
    assert seen.counts["ok"] == pytest.approx(950, abs=5)


def test_a_generator_that_stands_still_is_seen_at_once(tmp_path: Path) -> None:
    """It has not even written down that it is late."""
    tape = Tape(fabricate(tmp_path, np.full(1_000, MS), rate=100))
    tape.forward(5 * S)
    seen = Progress(tape.run).snapshot(8 * S)
    assert seen.sent_rate == 0
    assert seen.target_rate == 100
    assert seen.lag_p99_ns > 1.9 * S
    assert seen.unsent == pytest.approx(300, abs=1)


def test_who_got_no_answer_waits_for_ever_also_here(tmp_path: Path) -> None:
    tape = Tape(fabricate(tmp_path, np.full(200, MS), status=np.where(np.arange(200) % 10, 200, 503)))
    tape.forward(2 * S)
    seen = Progress(tape.run).snapshot(2 * S)
    assert seen.p50_ns == MS
    assert seen.p99_ns == math.inf
    assert "never" in one_line(seen)


def test_phases_and_faults_are_those_of_now(tmp_path: Path) -> None:
    progress = Progress(mixed(tmp_path))
    assert [(seen.phase, seen.faults) for seen in map(progress.snapshot, (0, 6 * S, 7 * S, 12 * S, 30 * S))] == [
        ("calm", ()),
        ("calm", ("server large.delay_ms=80",)),
        ("calm", ()),
        ("flash", ()),
        ("", ()),
    ]


def test_a_tick_looks_at_what_is_new_only(tmp_path: Path) -> None:
    """Half a million requests that ended long ago cost nothing: their rows could as well be gone."""
    made = fabricate(tmp_path, np.full(500_000, MS), rate=100_000)
    progress = Progress(made)
    progress.snapshot(4 * S)
    writable = open_run(made.path, writable=True)
    before = progress.snapshot(4 * S).counts["ok"]
    writable.samples["status"][:350_000] = 500
    writable.samples["done_ns"][:350_000] = NEVER
    assert progress.snapshot(4 * S + 100 * MS).counts["ok"] > before
    assert len(progress._open) < 200


def test_it_can_be_shown_on_a_line_and_on_a_screen(tmp_path: Path) -> None:
    tape = Tape(mixed(tmp_path))
    tape.forward(6 * S)
    seen = Progress(tape.run).snapshot(6 * S)
    line = one_line(seen)
    assert line.startswith("6/20 s calm | 100 of 100 req/s | in flight ")
    assert line.endswith("| server large.delay_ms=80")
    shown = ["".join(piece for piece, _ in each) for each in lines(seen)]
    assert len(shown) == 7
    assert "calm" in shown[0]
    assert "large" in shown[5]
    empty = Progress(tape.run).snapshot(0)
    assert [len(lines(empty)), one_line(empty)[:4]] == [6, "0/20"]


def test_lines_come_every_five_seconds_until_it_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tape = Tape(mixed(tmp_path))

    async def main(loop: VirtualLoop) -> None:
        stop = asyncio.Event()
        loop.call_later(21, stop.set)
        await watch(tape.run, lambda: loop.clock.now_ns() - S, stop, "lines")
        assert loop.time() == pytest.approx(21)

    run(main)
    told = capsys.readouterr()
    assert [line.split("/")[0] for line in told.err.splitlines()] == ["4", "9", "14", "19"]
    assert told.out == ""


def test_off_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = mixed(tmp_path)

    async def main(loop: VirtualLoop) -> None:
        stop = asyncio.Event()
        loop.call_later(21, stop.set)
        await watch(made, loop.clock.now_ns, stop, "off")

    run(main)
    assert capsys.readouterr().err == ""


def test_the_screen_is_painted_twice_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    painted = []

    def hostile(seen: Snapshot) -> list[Line]:
        painted.append(seen.elapsed_ns)
        return [[("\x1b[2Jhello", "bold")]]

    monkeypatch.setattr(live, "lines", hostile)
    made = mixed(tmp_path)

    async def main(loop: VirtualLoop) -> None:
        stop = asyncio.Event()
        loop.call_later(1.9, stop.set)
        await watch(made, loop.clock.now_ns, stop, "tui")

    run(main)
    assert painted == [0, S // 2, S, 3 * S // 2]
    assert "\x1b[2J" not in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["lines", "tui"])
def test_a_terminal_that_was_closed_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    def gone(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(terminal, "note", gone)
    monkeypatch.setattr(live, "lines", gone)
    made = mixed(tmp_path)
    run(lambda loop: watch(made, loop.clock.now_ns, asyncio.Event(), mode))


def test_without_a_terminal_there_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "is_rich", lambda _stream: False)
    assert [choose_mode(None), choose_mode("tui"), choose_mode("off")] == ["lines", "lines", "off"]
    monkeypatch.setattr(terminal, "is_rich", lambda _stream: True)
    assert [choose_mode(None), choose_mode("tui"), choose_mode("lines")] == ["tui", "tui", "lines"]
