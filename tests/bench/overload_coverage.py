"""Coverage of the predictor of `large`, live: steady, and after it has become half as quick. A part of
`tests.bench.overload`.

`takt_predictor_coverage` is of the last 1,000 calls, so it is read when 1,000 have been made, and after the slow-down
when 1,000 more have been made since the 200th call (q 0.9) or the 400th (q 0.99). Budgets are wide, so that `large`
goes on being asked.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from tests.bench import report
from tests.bench.overload_plan import Part, Plan, server_fault
from tests.bench.overload_run import Trouble, reading, run_once, server, until_valid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.bench.overload import Bench
    from tests.bench.server_process import ServerProcess

_LOAD, _BUDGETS = 0.4, 30.0
_WITHIN = {"0.9": 0.02, "0.99": 0.01}
_AGAIN = {"0.9": 200, "0.99": 400}  # calls after which a slow-down is to be learned
_QUANTILES = ("0.5", "0.9", "0.99", "0.995")
_POLL_S = 0.25
_MARGIN = 1.15  # of time, so that the calls are made


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """One look. `calls` of `large` so far; `cost_ms` of q 0.5."""

    at_s: float
    calls: float
    cost_ms: float
    coverage: dict[str, float]


def measure(bench: Bench) -> dict[str, object]:
    """Reads all the while, and judges three of the reads."""
    units, given = bench.units, bench.given
    rate = _LOAD * units.c
    reads: list[Read] = []
    steady_s = given.batches / rate * _MARGIN + 2
    slow_s = (given.batches + max(_AGAIN.values())) / rate * _MARGIN + 2
    began_s = time.monotonic()

    @asynccontextmanager
    async def reader(process: ServerProcess) -> AsyncIterator[None]:
        task = asyncio.create_task(_read_on(process, reads, began_s))
        yield
        task.cancel()

    with server("takt-faults") as process:
        cost_ms = reading(process.metrics(), "takt_rung_cost_seconds", rung="large", quantile="0.5") * 1e3
        warm_up_s = 2.0
        fault = server_fault(warm_up_s + steady_s, slow_s, large={"delay_ms": cost_ms})
        part = Part(name="steady", rate=rate, seconds=steady_s + slow_s)
        plan = Plan(parts=(part,), budget_ms=_BUDGETS * units.e_ms, seed=given.seed, lag_ms=given.lag_ms,
                    faults=(fault,), warm_up_s=warm_up_s)  # fmt: skip
        trouble = Trouble(0.0, warm_up_s + steady_s + slow_s - 0.5, reader)
        seen = until_valid(lambda: run_once(process, plan, trouble))
    slow_ns = seen.whole.record.faults[0].begin_ns
    assert seen.trouble_ns is not None
    slow_at_s = reads[0].at_s + (slow_ns - seen.trouble_ns[0]) / 1e9
    return _tell([each for each in reads if each.calls], slow_at_s, given.batches, is_valid=not seen.why_invalid)


async def _read_on(process: ServerProcess, reads: list[Read], began_s: float) -> None:
    reads.clear()  # of a run that was invalid
    while True:
        at_s, page = time.monotonic() - began_s, await asyncio.to_thread(process.metrics)
        reads.append(
            Read(
                at_s=at_s,
                calls=reading(page, "takt_batches_total", rung="large"),
                cost_ms=reading(page, "takt_rung_cost_seconds", rung="large", quantile="0.5") * 1e3,
                coverage={q: reading(page, "takt_predictor_coverage", rung="large", q=q) for q in _QUANTILES},
            )
        )
        await asyncio.sleep(_POLL_S)


def _tell(reads: list[Read], slow_at_s: float, batches: int, *, is_valid: bool) -> dict[str, object]:
    steady = [each for each in reads if each.at_s < slow_at_s][-1]
    found = {"steady": steady}
    for q, after in _AGAIN.items():
        name = f"slow, from call {after} on"
        enough = [each for each in reads if each.calls >= steady.calls + after + batches]
        found[name] = enough[0] if enough else reads[-1]
        if not enough:
            print(f"  {name}: only {reads[-1].calls - steady.calls:.0f} calls were made; q {q} is of some before, too")
    mark = "" if is_valid else " -"
    report.table(("", "calls", "cost ms", *(f"q {q}" for q in _QUANTILES)),
                 [(name + mark, each.calls, each.cost_ms, *(f"{each.coverage[q]:.3f}" for q in _QUANTILES))
                  for name, each in found.items()])  # fmt: skip
    for q, within in _WITHIN.items():
        off = abs(steady.coverage[q] - float(q))
        report.verdict(f"steady, q {q}: off by {off:.3f}, at most {within:g}", is_met=off <= within)
        off = abs(found[f"slow, from call {_AGAIN[q]} on"].coverage[q] - float(q))
        report.verdict(f"from {_AGAIN[q]} calls after the slow-down on, q {q}: off by {off:.3f}, at most {within:g}",
                       is_met=off <= within)  # fmt: skip
    return {"judged": found, "reads": reads, "slow_at_s": slow_at_s, "valid": is_valid}
