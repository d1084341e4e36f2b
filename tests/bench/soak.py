"""A long run under open load: the stages of every answer sum to its elapsed time, and memory stays flat.

    python -m tests.bench.soak --minutes 10 [--rate 200] [--json]

Stages are checked in the body (up to its encoding) and in Server-Timing (all of it), on every response: within 2 % or
0.5 ms. Memory grows while caches fill (10,000 answers, 16,384 words), so the first fifth of the run is left out, and
the last quarter of the rest is compared with its first.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from tests.bench import report
from tests.bench.open_loop import Reply, decode, open_loop, quantiles_ms
from tests.bench.server_process import pin_generator, takt
from tests.bench.traffic import unseen_requests

if TYPE_CHECKING:
    import argparse

    from tests.bench.server_process import ServerProcess

_SAMPLE_S = 2.0
_LEFT_OUT_SHARE = 0.2
_GROWTH_SHARE = 0.02
_TIMING = re.compile(rb"(\w+);dur=([0-9.]+)")


class Watch:
    """What is learned from each response while the run goes on; keeps numbers only."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.latencies_ns: list[int] = []
        self.unequal = 0
        self.worst_ms = 0.0
        self.late = 0

    def take(self, reply: Reply) -> None:
        self.latencies_ns.append(reply.latency_ns)
        if reply.status != 200:
            self.kinds[f"status {reply.status}"] += 1
            return
        answer = decode(reply.body)
        self.kinds[f"{answer.rung}, degraded: {answer.degraded}"] += 1
        self.late += reply.latency_ns > answer.budget.total_ms * 1e6
        self._compare(sum(answer.budget.stages_ms.values()), answer.budget.elapsed_ms)
        line = reply.head.partition(b"Server-Timing:")[2].partition(b"\r\n")[0]
        timing = {name: float(ms) for name, ms in _TIMING.findall(line)}
        total_ms = timing.pop(b"total")
        timing.pop(b"budget")
        self._compare(sum(timing.values()), total_ms)

    def _compare(self, stages_ms: float, elapsed_ms: float) -> None:
        off_ms = abs(stages_ms - elapsed_ms)
        self.worst_ms = max(self.worst_ms, off_ms)
        self.unequal += off_ms > max(0.5, 0.02 * elapsed_ms)


async def _run(server: ServerProcess, given: argparse.Namespace, watch: Watch) -> list[tuple[float, int]]:
    """Load it and sample its memory: (seconds, bytes)."""
    began_s = time.monotonic()
    requests = unseen_requests(given.seed)
    load = asyncio.create_task(open_loop(server.url, requests, given.rate, given.minutes * 60, watch.take))
    samples = []
    while not load.done():
        samples.append((time.monotonic() - began_s, server.rss_bytes()))
        await asyncio.wait((load,), timeout=_SAMPLE_S)
    await load
    return samples


def main() -> None:
    """Print the counts, the worst sum of stages and the memory over time."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--minutes", type=float, default=10)
    arguments.add_argument("--rate", type=float, default=200)
    given = arguments.parse_args()
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder, takt(Path(folder, "log.sqlite"), ("small", "large")) as server:
        pin_generator()
        samples = uvloop.run(_run(server, given, watch))
    kept = samples[int(len(samples) * _LEFT_OUT_SHARE) :]
    quarter = max(1, len(kept) // 4)
    first, last = (statistics.median(rss for _, rss in part) / 1e6 for part in (kept[:quarter], kept[-quarter:]))
    report.table(("answer", "count"), list(watch.kinds.most_common()))
    p50_ms, p99_ms, p999_ms, max_ms = quantiles_ms(watch.latencies_ns, 0.5, 0.99, 0.999, 1.0)
    print(f"latency ms: p50 {p50_ms:.2f}, p99 {p99_ms:.2f}, p99.9 {p999_ms:.2f}, max {max_ms:.2f}; {watch.late} late")
    marks = samples[:: max(1, len(samples) // 10)]
    report.table(("minute", "MB"), [(at_s / 60, rss / 1e6) for at_s, rss in marks])
    print(
        f"worst difference of a sum {watch.worst_ms:.4f} ms; "
        f"memory {first:.1f} -> {last:.1f} MB ({last / first - 1:+.2%})"
    )
    report.verdict("stages sum to elapsed within 2 % or 0.5 ms on every response", is_met=watch.unequal == 0)
    report.verdict(f"memory grows by at most {_GROWTH_SHARE:.0%}", is_met=last <= first * (1 + _GROWTH_SHARE))
    result = {
        "answers": watch.kinds, "late": watch.late, "unequal": watch.unequal, "worst_ms": watch.worst_ms,
        "first_mb": first, "last_mb": last, "p50_ms": p50_ms, "p99_ms": p99_ms, "p999_ms": p999_ms, "max_ms": max_ms,
    }  # fmt: skip
    report.write_json("soak", given, result)


if __name__ == "__main__":
    main()
