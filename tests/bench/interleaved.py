"""Compare two servers' CPU per request in one run: many short blocks A B B A, so that drift hits both alike."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import uvloop

from tests.bench import report
from tests.bench.open_loop import Reply, closed_loop, decode
from tests.bench.server_process import pin_generator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.server_process import ServerProcess

_WARM_UP_S = 1.5


class Measured(NamedTuple):
    cpu_us: float
    per_s: float


class Comparison(msgspec.Struct, frozen=True):
    """Medians over blocks; the interval holds the median ratio in 95 of 100 bootstrap samples.

    `quiet` compares the cheapest blocks of both: what is left of the ratio when the neighbours are still.
    """

    baseline_us: float
    other_us: float
    ratio: float
    low: float
    high: float
    quiet: float
    baseline_per_s: float
    other_per_s: float
    blocks: int
    rungs: dict[str, int]

    def row(self, name: str) -> tuple[object, ...]:
        interval = f"{self.ratio:.2f} [{self.low:.2f}, {self.high:.2f}]"
        rates = f"{self.baseline_per_s:,.0f} / {self.other_per_s:,.0f}"
        return name, self.baseline_us, self.other_us, interval, self.quiet, rates


HEADER = ("compared", "baseline CPU µs", "other CPU µs", "ratio [95 %]", "quiet", "req/s, one core")


def compare(
    baseline: ServerProcess, other: ServerProcess, requests: Iterator[bytes], blocks: int, seconds: float, seed: int
) -> Comparison:
    """CPU per request of `other` over that of `baseline`. Raises: AssertionError: an answer was not a 200."""
    pin_generator()
    rungs: Counter[str] = Counter()
    for server in (baseline, other):
        _measure(server, requests, _WARM_UP_S, Counter())
    a_blocks: list[Measured] = []
    b_blocks: list[Measured] = []
    for _ in range(blocks):
        a_blocks += [_measure(baseline, requests, seconds, Counter())]
        b_blocks += [_measure(other, requests, seconds, rungs), _measure(other, requests, seconds, rungs)]
        a_blocks += [_measure(baseline, requests, seconds, Counter())]
    pairs = [
        (a_blocks[at].cpu_us + a_blocks[at + 1].cpu_us, b_blocks[at].cpu_us + b_blocks[at + 1].cpu_us)
        for at in range(0, 2 * blocks, 2)
    ]
    ratios = [other_us / baseline_us for baseline_us, other_us in pairs]
    low, high = _interval(ratios, seed)
    return Comparison(
        baseline_us=statistics.median(each.cpu_us for each in a_blocks),
        other_us=statistics.median(each.cpu_us for each in b_blocks),
        ratio=statistics.median(ratios),
        low=low,
        high=high,
        quiet=min(each.cpu_us for each in b_blocks) / min(each.cpu_us for each in a_blocks),
        baseline_per_s=statistics.median(each.per_s for each in a_blocks),
        other_per_s=statistics.median(each.per_s for each in b_blocks),
        blocks=blocks,
        rungs=dict(rungs),
    )


def _measure(server: ServerProcess, requests: Iterator[bytes], seconds: float, rungs: Counter[str]) -> Measured:
    replies: list[Reply] = []
    before_ns = server.cpu_ns()
    uvloop.run(closed_loop(server.url, requests, seconds, replies.append))
    cpu_ns = server.cpu_ns() - before_ns
    for reply in replies:
        assert reply.status == 200, reply
        if b'"rung"' in reply.body:
            rungs[decode(reply.body).rung] += 1
    took_s = (replies[-1].done_ns - replies[0].sent_ns) / 1e9
    return Measured(cpu_ns / len(replies) / 1e3, len(replies) / took_s)


def _interval(values: list[float], seed: int) -> tuple[float, float]:
    rng = random.Random(seed)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(2_000))
    return medians[50], medians[-51]


def show(title: str, rows: list[tuple[object, ...]]) -> None:
    print(title)
    report.table(HEADER, list(rows))
