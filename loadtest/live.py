"""The live view: the parent reads the samples that the workers write, twice a second, and shows what comes of them.

A tick costs what happened since the last one, and what is open, never the whole run: the schedule is in the order of
its times, so what is due is found by bisection, and each row is counted once, when it has ended.
"""

from __future__ import annotations

import asyncio
import math
import sys
from bisect import bisect_right
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from loadtest import terminal
from loadtest.fault.timeline import describe
from loadtest.quantity import MS, S, show_ns
from loadtest.sample import NEVER, NOTHING, RUNGS
from loadtest.view import ERROR, FOREVER_NS, LATE, OK, OUTCOMES, SHED, classify, quantile_ns

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from loadtest.run import Run
    from loadtest.terminal import Line, Paint

Mode = Literal["tui", "lines", "off"]
WINDOW_NS = 2 * S
# Past its timeout by this, a request of a worker that died is given up here too, so that what is open stays bounded.
_GRACE_NS = 1 * S
_TICK_S, _LINE_EVERY_S = 0.5, 5.0
_HTTP_OK = 200
_BAR_CHARS = 40
_RUNG_STYLES = dict(zip(RUNGS, ("dim", "cyan", "green", "yellow", "blue", "magenta", "red", "white"), strict=True))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment. Rates are requests per second; what is not known yet is NaN."""

    elapsed_ns: int
    total_ns: int
    phase: str
    target_rate: float  # due in the last seconds
    sent_rate: float  # of those, written by now
    in_flight: int
    unsent: int  # due, and not written yet
    oldest_ns: int  # how long the oldest open request has been due
    counts: dict[str, int]  # what has ended, by outcome
    p50_ns: float  # of what ended in the last seconds, from the intended time; inf: had no answer
    p99_ns: float
    rungs: dict[str, int]  # of the answers of the last seconds
    lag_p99_ns: float  # of what was due in the last seconds
    faults: tuple[str, ...]


class Progress:
    """Reads along with a run. Not safe for more than one reader; the workers may write meanwhile.

    Args:
        run: its schedule is in the order of the intended times.
        window_ns: what "the last seconds" are.
    """

    def __init__(self, run: Run, window_ns: int = WINDOW_NS) -> None:
        self._run, self._window_ns = run, window_ns
        self._intended_ns = run.planned["intended_ns"]
        self._give_up_ns = run.record.scenario.target.timeout + _GRACE_NS
        self._due_total = 0
        self._open = np.empty(0, np.int64)  # rows that are due and have not ended, the oldest first
        self._counts = np.zeros(len(OUTCOMES), np.int64)
        self._ended: list[tuple[int, np.ndarray, np.ndarray]] = []  # of the window: when seen, latencies, rungs

    def snapshot(self, now_ns: int) -> Snapshot:
        """Count what has ended since the last call. Args: now_ns: from the start of the run, never decreasing."""
        due_total = bisect_right(self._intended_ns, now_ns)
        self._open = np.concatenate((self._open, np.arange(self._due_total, due_total)))
        self._due_total = due_total
        self._count_ended(now_ns)
        first = bisect_right(self._intended_ns, now_ns - self._window_ns, hi=due_total)
        intended_ns, recent = self._intended_ns[first:due_total], self._run.samples[first:due_total]
        seconds = max(1, min(self._window_ns, now_ns)) / S
        paced_ns = np.where(recent["paced_ns"] == NEVER, now_ns, recent["paced_ns"])
        is_sent = self._run.samples["sent_ns"][self._open] != NEVER
        latency_ns = np.concatenate([np.empty(0, np.int64), *(each for _, each, _ in self._ended)])
        rungs = np.bincount(
            np.concatenate([np.empty(0, np.uint8), *(each for _, _, each in self._ended)]), minlength=len(RUNGS)
        )
        return Snapshot(
            elapsed_ns=now_ns,
            total_ns=self._run.record.phases[-1].end_ns,
            phase=next((each.name for each in self._run.record.phases if each.start_ns <= now_ns < each.end_ns), ""),
            target_rate=len(recent) / seconds,
            sent_rate=int((recent["sent_ns"] != NEVER).sum()) / seconds,
            in_flight=int(is_sent.sum()),
            unsent=int((~is_sent).sum()),
            oldest_ns=now_ns - int(self._intended_ns[self._open[0]]) if len(self._open) else 0,
            counts={name: int(count) for name, count in zip(OUTCOMES, self._counts, strict=True)},
            p50_ns=quantile_ns(latency_ns, 0.5),
            p99_ns=quantile_ns(latency_ns, 0.99),
            rungs={name: int(count) for name, count in zip(RUNGS, rungs, strict=True) if name and count},
            lag_p99_ns=quantile_ns(paced_ns - intended_ns, 0.99),
            faults=tuple(
                f"{each.kind} {describe(each)}"
                for each in self._run.record.scenario.faults
                if each.at <= now_ns < each.at + each.for_
            ),
        )

    def _count_ended(self, now_ns: int) -> None:
        """Move what has ended from the open rows to the counts. `status` is written after the times: it tells."""
        intended_ns = self._intended_ns[self._open]
        has_ended = self._run.samples["status"][self._open] != NOTHING
        is_lost = ~has_ended & (now_ns - intended_ns > self._give_up_ns)
        ended = self._open[has_ended | is_lost]
        self._open = self._open[~(has_ended | is_lost)]
        planned, sample = self._run.planned[ended], self._run.samples[ended]
        is_answered = sample["status"] == _HTTP_OK
        latency_ns = np.where(is_answered, sample["done_ns"] - planned["intended_ns"], FOREVER_NS)
        self._counts += np.bincount(classify(planned, sample, latency_ns), minlength=len(OUTCOMES))
        self._ended = [each for each in self._ended if each[0] > now_ns - self._window_ns]
        self._ended.append((now_ns, latency_ns, sample["rung"]))


def choose_mode(stated: Mode | None) -> Mode:
    """Stated, or painted where stderr is a terminal that wants it, else lines."""
    can_paint = terminal.is_rich(sys.stderr)
    if stated is None or stated == "tui":
        return "tui" if can_paint else "lines"
    return stated


async def watch(run: Run, now_ns: Callable[[], int], stop: asyncio.Event, mode: Mode) -> None:
    """Show the run until `stop` is set, or as long as somebody can see it: a closed terminal ends no run.

    Args: now_ns: from the start of the run; negative: it has not begun.
    """
    if mode == "off":
        await stop.wait()
        return
    progress = Progress(run)
    every_s = _TICK_S if mode == "tui" else _LINE_EVERY_S
    screen: AbstractContextManager[Paint | None] = terminal.painting() if mode == "tui" else nullcontext()
    with suppress(OSError), screen as paint:
        while not stop.is_set():
            if (at_ns := now_ns()) >= 0:
                seen = progress.snapshot(at_ns)
                terminal.note(one_line(seen)) if paint is None else paint(lines(seen))
            try:
                await asyncio.wait_for(stop.wait(), every_s)
            except TimeoutError:
                continue


def one_line(seen: Snapshot) -> str:
    """For logs: everything that matters, on one line."""
    counts = " ".join(f"{name} {count:,}" for name, count in seen.counts.items() if count or name == "ok")
    faults = f" | {', '.join(seen.faults)}" if seen.faults else ""
    return (
        f"{seen.elapsed_ns / S:.0f}/{seen.total_ns / S:.0f} s {seen.phase or 'ending'}"
        f" | {seen.sent_rate:,.0f} of {seen.target_rate:,.0f} req/s | in flight {seen.in_flight:,}"
        f" | {counts} | p50 {_show(seen.p50_ns)} p99 {_show(seen.p99_ns)} | lag {_show(seen.lag_p99_ns)}{faults}"
    )


def lines(seen: Snapshot) -> list[Line]:
    """For a terminal: six lines, one of them a bar of the rungs that answered."""
    share = min(1.0, seen.elapsed_ns / max(1, seen.total_ns))
    done = round(share * _BAR_CHARS)
    bar: list[tuple[str, str]] = [
        (f"elapsed  {seen.elapsed_ns / S:.0f} of {seen.total_ns / S:.0f} s  ", ""),
        ("━" * done, "green"),
        ("━" * (_BAR_CHARS - done), "dim"),
        (f"  {seen.phase or 'waiting for the last answers'}", "bold"),
    ]
    is_slipping = seen.unsent > max(1, seen.target_rate * 0.01)
    rate: list[tuple[str, str]] = [
        (f"rate     {seen.sent_rate:,.0f} of {seen.target_rate:,.0f} req/s", "yellow" if is_slipping else ""),
        (f"   lag p99 {_show(seen.lag_p99_ns)}", "yellow" if seen.lag_p99_ns > 2 * MS else ""),
    ]
    open_: list[tuple[str, str]] = [
        (f"open     {seen.in_flight:,} in flight, {seen.unsent:,} not sent yet", ""),
        (f"   the oldest for {show_ns(seen.oldest_ns)}" if seen.oldest_ns else "", ""),
    ]
    styles = {OUTCOMES[OK]: "green", OUTCOMES[LATE]: "yellow", OUTCOMES[SHED]: "magenta", OUTCOMES[ERROR]: "red"}
    counts = [("so far  ", "")] + [
        (f" {name} {count:,} ", styles.get(name, "") if count else "dim") for name, count in seen.counts.items()
    ]
    latency: list[tuple[str, str]] = [(f"latency  p50 {_show(seen.p50_ns)}   p99 {_show(seen.p99_ns)}", "bold")]
    shown: list[Line] = [bar, rate, open_, counts, latency, _mix(seen.rungs)]
    return [*shown, [(f"faults   {', '.join(seen.faults)}", "bold red")]] if seen.faults else shown


def _mix(rungs: dict[str, int]) -> Line:
    total = sum(rungs.values())
    pieces: list[tuple[str, str]] = [("rungs    ", "")]
    for name, count in rungs.items():
        pieces.append(("█" * math.ceil(count / total * _BAR_CHARS), _RUNG_STYLES[name]))
        pieces.append((f" {name} {count / total:.0%}  ", ""))
    return pieces


def _show(ns: float) -> str:
    return "-" if math.isnan(ns) else show_ns(ns)
