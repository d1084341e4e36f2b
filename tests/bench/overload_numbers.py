"""Runs as numbers, and the two units that all of `tests.bench.overload` is told in.

E is the usual time (p50) of the rung `large` over HTTP on an idle server, C the highest Poisson rate at which it alone
answers 99 % within 10 E (as MLPerf's server scenario). Both are of the machine and the model: they are measured on the
baseline `takt-b0`, one queue and no policy worth the name, so that no policy flatters itself by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from loadtest.quantity import MS, S
from loadtest.sample import DEGRADED, RUNGS, STAGES
from loadtest.statistics.binomial import highest_share
from loadtest.statistics.effective import effective
from loadtest.view import SHED, View, quantile_ns
from tests.bench.overload_plan import Part, Plan
from tests.bench.overload_run import run, server

if TYPE_CHECKING:
    from argparse import Namespace

    from tests.bench.overload_run import Seen
    from tests.bench.server_process import ServerProcess

_NO_MODEL = [RUNGS.index(rung) for rung in ("cache", "rules", "default")]
_CONFIDENCE = 0.95
_ADMIT = STAGES.index("admit")
_BUDGETS, _TAIL, _SHARE = 5.0, 10.0, 0.99
_IDLE_RATE = 25.0
# Of 1/E: below what any queue of one server sustains with 99 % within 10 E, and what none does.
_LOWEST, _HIGHEST = 0.4, 1.3


class Units(msgspec.Struct, frozen=True, kw_only=True):
    """E in ms, C in requests a second."""

    e_ms: float
    c: float
    valid: bool

    @property
    def budget_ms(self) -> float:
        return _BUDGETS * self.e_ms


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """A load, judged. Shares are of all scheduled requests; the latency of those without a 200 is infinite.

    `attainment_low`: what is proven of it with 95 % confidence, misses in bursts counted as what they are worth.
    `quality`: of each request answered in time the accuracy of its rung, of the others nothing; the mean, and a second.
    """

    valid: bool
    requests: int
    attainment: float
    attainment_low: float
    rungs: dict[str, float]  # answered in time, by rung
    shed: float
    late: float
    other: float  # errors, unsent, unfinished
    degraded: dict[str, float]  # answered, by why not better
    p50_ms: float
    p99_ms: float
    admit_p50_us: float
    admit_p99_us: float
    spared_p99_ms: float  # of those answered without a model, or refused
    quality: float
    quality_per_s: float


def numbers(seen: View, qualities: dict[str, float], *, valid: bool) -> Numbers:
    """Args: seen: the requests of one load, at least one."""
    count, met, counts = len(seen), seen.met(), seen.counts()
    rung, admit_us = seen.sample["rung"], seen.sample["stages_us"][seen.is_answered, _ADMIT]
    rungs = {name: float((met & (rung == at)).sum()) / count for at, name in enumerate(RUNGS) if name}
    why = seen.sample["degraded"][seen.is_answered]
    whys = {name: float((why == at).sum()) / count for at, name in enumerate(DEGRADED) if name not in {"", "none"}}
    quality = sum(qualities.get(name, qualities["large"]) * share for name, share in rungs.items())
    took_ns = seen.sample["done_ns"] - seen.planned["intended_ns"]
    is_spared = (seen.outcome == SHED) | (seen.is_answered & np.isin(rung, _NO_MODEL))
    span_ns = float(np.ptp(seen.planned["intended_ns"]))
    return Numbers(
        valid=valid,
        requests=count,
        attainment=float(met.mean()),
        attainment_low=_proven(met),
        rungs={name: share for name, share in rungs.items() if share},
        shed=counts["shed"] / count,
        late=counts["late"] / count,
        other=(counts["error"] + counts["unsent"] + counts["unfinished"]) / count,
        degraded={name: share for name, share in whys.items() if share},
        p50_ms=quantile_ns(seen.latency_ns, 0.5) / MS,
        p99_ms=quantile_ns(seen.latency_ns, 0.99) / MS,
        admit_p50_us=float(np.quantile(admit_us, 0.5)) if len(admit_us) else float("nan"),
        admit_p99_us=float(np.quantile(admit_us, 0.99)) if len(admit_us) else float("nan"),
        spared_p99_ms=quantile_ns(took_ns[is_spared], 0.99) / MS,
        quality=quality,
        quality_per_s=quality * count / max(1e-9, span_ns / S),
    )


def _proven(met: np.ndarray) -> float:
    worth = effective(~met)
    return 1 - highest_share(float((~met).mean()) * worth.n, worth.n, _CONFIDENCE)


def steady(
    process: ServerProcess,
    rate: float,
    seconds: float,
    budget_ms: float,
    given: Namespace,
    *,
    seed: int,
    warm_up_s: float = 1.0,
) -> Seen:
    """One rate. Args: warm_up_s: the default is for a server that has been asked before."""
    part = Part(name="steady", rate=rate, seconds=seconds)
    plan = Plan(parts=(part,), budget_ms=budget_ms, seed=seed, lag_ms=given.lag_ms, warm_up_s=warm_up_s)
    return run(process, plan)


def calibrate(given: Namespace) -> Units:
    """A bisection of C; its precision is that of its last step, and of the machine's quiet."""
    with server("takt-b0") as process:
        idle = steady(process, _IDLE_RATE, given.calibrate_s, 1e3, given, seed=given.seed)
        e_ms = quantile_ns(idle.measured.latency_ns, 0.5) / MS
        low, high = _LOWEST / (e_ms / 1e3), _HIGHEST / (e_ms / 1e3)
        valid = not idle.why_invalid
        for step in range(given.calibrate_steps):
            rate = (low * high) ** 0.5
            seen = steady(process, rate, given.calibrate_s, _TAIL * e_ms, given, seed=given.seed + step)
            held = float(seen.measured.met().mean())
            valid = valid and not seen.why_invalid
            print(f"  calibration: {rate:.0f}/s, {held:.2%} within {_TAIL:g} E", flush=True)
            low, high = (rate, high) if held >= _SHARE else (low, rate)
    return Units(e_ms=e_ms, c=low, valid=valid)
