"""A broken executor rung under open load: does every request still get its answer within its budget?

    python -m tests.bench.slow_rung [--rate 200] [--fault-seconds 15] [--json]

Rungs `large` (executor) and `small` (event loop), budgets of 50 ms, texts never seen before. For each fault of `large`
(500 ms slower, raising, answering NaN): some seconds without, some with it, then it is cleared and the time until
`large` answers again is taken. Latency counts from when a request was due, at the client; how late the generator was
itself stands beside it, and how many late answers the server thought to be in time: those lost their time on the way
to it or from it, which on a shared machine is the wait for a core.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import msgspec
import uvloop

from tests.bench import report
from tests.bench.open_loop import Reply, decode, open_loop, quantiles_ms
from tests.bench.server_process import pin_generator, takt
from tests.bench.traffic import unseen_requests

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from tests.bench.server_process import ServerProcess

BUDGET_MS = 50.0
FAULTS: dict[str, dict[str, float]] = {
    "slow": {"delay_ms": 500},
    "raising": {"error_share": 1.0},
    "NaN": {"nan_share": 1.0},
}
# What may stand in `degraded` while the fault lasts.
# `error`: the answer whose own call raised or lied.
ALLOWED = {
    "slow": {"budget", "breaker"},
    "raising": {"budget", "breaker", "error"},
    "NaN": {"budget", "breaker", "error"},
}
_HEALTHY_S, _AFTER_S = 4.0, 8.0
_BACK_WITHIN_S = 5.0


class Found(msgspec.Struct):
    """What one fault did."""

    fault: str
    sent: int
    not_200: int
    late: int
    late_at_server: int
    refused: dict[str, int]
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    generator_p999_ms: float
    degraded: dict[str, int]
    back_s: float
    healthy_large_share: float


async def _run(server: ServerProcess, fault: str, requests: Iterator[bytes], given: argparse.Namespace) -> Found:
    replies: list[Reply] = []
    seconds = _HEALTHY_S + given.fault_seconds + _AFTER_S
    load = asyncio.create_task(open_loop(server.url, requests, given.rate, seconds, replies.append, seed=given.seed))
    await asyncio.sleep(_HEALTHY_S)
    broken_ns = time.monotonic_ns()
    await asyncio.to_thread(put_faults, server.url, {"large": FAULTS[fault]})
    await asyncio.sleep(given.fault_seconds)
    mended_ns = time.monotonic_ns()
    await asyncio.to_thread(put_faults, server.url, {})
    await load
    return _judge(fault, replies, broken_ns, mended_ns)


def _judge(fault: str, replies: list[Reply], broken_ns: int, mended_ns: int) -> Found:
    answers = [(reply, decode(reply.body)) for reply in replies if reply.status == 200]
    before = [answer for reply, answer in answers if reply.due_ns < broken_ns]
    during = [reply for reply in replies if broken_ns <= reply.due_ns < mended_ns]
    degraded = Counter(answer.degraded for reply, answer in answers if broken_ns < reply.sent_ns < mended_ns)
    back = [reply.done_ns for reply, answer in answers if reply.due_ns > mended_ns and answer.rung == "large"]
    late = [reply for reply in during if reply.latency_ns > BUDGET_MS * 1e6]
    latencies = quantiles_ms([reply.latency_ns for reply in during], 0.5, 0.99, 0.999, 1.0)
    return Found(
        fault=fault,
        sent=len(during),
        not_200=sum(reply.status != 200 for reply in replies),
        late=len(late),
        late_at_server=sum(reply.status == 200 and decode(reply.body).budget.elapsed_ms > BUDGET_MS for reply in late),
        refused=dict(Counter(reply.body.decode()[:200] for reply in replies if reply.status != 200)),
        p50_ms=latencies[0],
        p99_ms=latencies[1],
        p999_ms=latencies[2],
        max_ms=latencies[3],
        generator_p999_ms=quantiles_ms([reply.late_ns for reply in during], 0.999)[0],
        degraded=dict(degraded),
        back_s=(min(back) - mended_ns) / 1e9 if back else float("inf"),
        healthy_large_share=sum(answer.rung == "large" for answer in before) / len(before),
    )


def put_faults(url: str, plan: dict[str, dict[str, float]]) -> None:
    request = Request(
        f"{url}/v1/admin/faults", msgspec.json.encode(plan), {"Content-Type": "application/json"}, method="PUT"
    )
    with urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def main() -> None:
    """One row for each fault, then the goals."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--rate", type=float, default=200)
    arguments.add_argument("--fault-seconds", type=float, default=15)
    given = arguments.parse_args()
    found: list[Found] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        takt(Path(folder, "log.sqlite"), ("small", "large"), "takt-faults") as server,
    ):
        pin_generator()
        requests = unseen_requests(given.seed, BUDGET_MS)  # one source for all faults: what was seen once is cached
        found.extend(uvloop.run(_run(server, fault, requests, given)) for fault in FAULTS)
    report.table(
        ("fault", "requests", "not 200", "within 50 ms", "p50", "p99", "p99.9", "max ms", "gen. late p99.9", "back s"),
        [
            (f.fault, f.sent, f.not_200, f"{1 - f.late / f.sent:.3%}", f.p50_ms, f.p99_ms, f.p999_ms, f.max_ms,
             f.generator_p999_ms, f.back_s)
            for f in found
        ],
    )  # fmt: skip
    for f in found:
        print(
            f"{f.fault}: degraded {f.degraded}; `large` answered {f.healthy_large_share:.1%} before the fault; "
            f"{f.late_at_server} of {f.late} late ones were late inside the server"
            + "".join(f"\n  {count} × {body}" for body, count in f.refused.items())
        )
    report.verdict("every answer is a 200", is_met=not any(f.not_200 for f in found))
    report.verdict("at least 99.9 % within 50 ms", is_met=all(f.late <= f.sent / 1_000 for f in found))
    report.verdict(
        "no other degradation than the fault's", is_met=all(set(f.degraded) <= ALLOWED[f.fault] for f in found)
    )
    report.verdict(
        f"`large` is back within {_BACK_WITHIN_S:g} s", is_met=all(f.back_s <= _BACK_WITHIN_S for f in found)
    )
    report.write_json("slow_rung", given, msgspec.to_builtins(found))


if __name__ == "__main__":
    main()
