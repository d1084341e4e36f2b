"""What a frozen server looks like to load testers: `python -m tests.bench.load_omission [--docs] [--json]`.

An empty aiohttp echo stands still for S of T seconds under a constant rate. Of the requests that were due, a share
(S - x) / T waits longer than x, so p99 is S - T / 100 and p99.9 is S - T / 1000, whoever measures. `hey` with as many
connections and the same rate sends nothing while its connections wait. So does `wrk`, which knows no rate: it adds what
it would have sent in the meantime, guessed from its own mean, to its histogram.
`--docs` writes docs/img/coordinated-omission.svg and prints the table as Markdown.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from loadtest.quantity import MS
from tests.bench import load_curves, report
from tests.bench.load_measure import frozen, measure, scenario
from tests.bench.load_tools import Missing, hey, wrk
from tests.bench.server_process import ServerProcess

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

_PLOT = report.RESULTS.parent / "docs" / "img" / "coordinated-omission.svg"
_BEGINS_SHARE = 1 / 3  # of the run: then the server freezes
_TOLERANCE = 0.05  # G3
_FOIL_P99_MS = 100.0
_QUANTILES = (0.5, 0.9, 0.99, 0.999)
_POINTS = 120
_CLOSED_FORM, _OURS, _FROM_SENDING = "closed form", "takt loadtest", "the same run, from when it sent"
_HEADER = ("measured by", "requests", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "longest ms")


class Told(msgspec.Struct, frozen=True):
    """What somebody says of the run. `quantiles_ms`: 50, 90, 99 and 99.9 %; `curve`: (share, ms)."""

    name: str
    requests: int | None
    quantiles_ms: tuple[float, ...]
    longest_ms: float | None = None
    curve: tuple[tuple[float, float], ...] = ()
    note: str = ""

    def row(self) -> tuple[object, ...]:
        requests = "" if self.requests is None else f"{self.requests:,}"
        longest = "" if self.longest_ms is None else self.longest_ms
        return (self.name, requests, *self.quantiles_ms, longest)


def closed_form(given: Namespace) -> Told:
    """What is true, but for the time that the server takes when it is not frozen."""
    frozen_ms, run_ms = given.freeze * 1e3, given.seconds * 1e3
    slower = 1 - np.array(_QUANTILES)
    found = np.maximum(0, frozen_ms - slower * run_ms)
    waits_ms = np.geomspace(1, frozen_ms * (1 - 1e-3), _POINTS)
    curve = zip((1 - (frozen_ms - waits_ms) / run_ms).tolist(), waits_ms.tolist(), strict=True)
    return Told(_CLOSED_FORM, None, tuple(found.tolist()), frozen_ms, tuple(curve))


def ours(given: Namespace) -> list[Told]:
    """One run, told twice: from when requests were due, and from when they were sent."""
    with ServerProcess("echo") as server:
        made = scenario(server.url, given.rate, given.seconds, connections=given.connections, warm_up_s=0)
        seen, numbers = measure(frozen(made, given.seconds * _BEGINS_SHARE, given.freeze), pid=server.pid)
    (fault,) = seen.record.faults
    note = f"frozen for {(fault.end_ns - fault.begin_ns) / 1e9:.3f} s"
    if not numbers.valid:
        note += f"; INVALID: {numbers.why[0]}"
    return [
        _told(_OURS, seen.latency_ns / MS, note),
        _told(_FROM_SENDING, seen.send_latency_ns / MS),
    ]


def of_hey(given: Namespace) -> Told:
    """Raises: Missing."""
    with ServerProcess("echo") as server, _freezing(server.pid, given):
        said = hey(server.url, given.seconds, given.connections, given.rate)
    return _told(f"hey -c {given.connections} -q {given.rate / given.connections:g}", np.array(said.latencies_ms))


def of_wrk(given: Namespace) -> Told:
    """Raises: Missing."""
    with ServerProcess("echo") as server, _freezing(server.pid, given):
        said = wrk(server.url, given.seconds, given.connections)
    return Told(f"wrk -c {given.connections}", said.requests, said.quantiles_ms)


def _told(name: str, latencies_ms: np.ndarray, note: str = "") -> Told:
    ascending = np.sort(latencies_ms)
    shares = np.unique(1 - 1 / np.geomspace(1, len(ascending), _POINTS))
    curve = zip(shares.tolist(), np.percentile(ascending, 100 * shares, method="inverted_cdf").tolist(), strict=True)
    quantiles = np.percentile(ascending, [100 * q for q in _QUANTILES], method="inverted_cdf")
    return Told(name, len(ascending), tuple(quantiles.tolist()), float(ascending[-1]), tuple(curve), note)


@contextmanager
def _freezing(pid: int, given: Namespace) -> Iterator[None]:
    """Stop the process once, as long after the start as in our own run."""
    ended = threading.Event()

    def freeze() -> None:
        if ended.wait(given.seconds * _BEGINS_SHARE):
            return
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(given.freeze)
        finally:
            os.kill(pid, signal.SIGCONT)

    freezer = threading.Thread(target=freeze)
    freezer.start()
    try:
        yield
    finally:
        ended.set()
        freezer.join()


def _judge(told: dict[str, Told]) -> None:
    truth, mine = told[_CLOSED_FORM], told[_OURS]
    for name, expected, found in zip(("p99", "p99.9"), truth.quantiles_ms[2:], mine.quantiles_ms[2:], strict=True):
        error = found / expected - 1 if expected else float("nan")
        report.verdict(
            f"{name} within {_TOLERANCE:.0%} of {expected:,.0f} ms: {error:+.1%}", is_met=abs(error) <= _TOLERANCE
        )
    for name, each in told.items():
        if name.startswith("hey"):
            report.verdict(
                f"hey, the foil, sees a p99 below {_FOIL_P99_MS:g} ms", is_met=each.quantiles_ms[2] < _FOIL_P99_MS
            )


def _write_docs(given: Namespace, told: dict[str, Told]) -> None:
    title = f"A server that stands still for {given.freeze:g} of {given.seconds:g} s: latency"
    dashed = {_CLOSED_FORM, _FROM_SENDING}
    drawn = [load_curves.Curve(name, each.curve, name in dashed) for name, each in told.items() if each.curve]
    _PLOT.write_text(load_curves.draw(title, drawn), encoding="utf-8")
    print(f"written: {_PLOT.relative_to(report.RESULTS.parent)}\n")
    print(f"| {' | '.join(_HEADER)} |\n|---|{'--:|' * (len(_HEADER) - 1)}")
    for each in told.values():
        cells = (f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in each.row())
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    """A row for each tool, then the goal."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=60, help="T (default: 60)")
    arguments.add_argument("--freeze", type=float, default=2, help="S (default: 2)")
    arguments.add_argument("--rate", type=float, default=200)
    arguments.add_argument("--connections", type=int, default=10)
    arguments.add_argument("--docs", action="store_true", help="write the plot and print Markdown")
    given = arguments.parse_args()
    told = {each.name: each for each in [*ours(given), closed_form(given)]}  # drawn in this order
    for ask in (of_hey, of_wrk):
        try:
            each = ask(given)
        except Missing as missing:
            print(missing)
            continue
        told[each.name] = each
    report.table(_HEADER, [each.row() for each in told.values()])
    for each in told.values():
        if each.note:
            print(f"{each.name}: {each.note}")
    _judge(told)
    if given.docs:
        _write_docs(given, told)
    report.write_json("load_omission", given, msgspec.to_builtins(list(told.values())))


if __name__ == "__main__":
    main()
