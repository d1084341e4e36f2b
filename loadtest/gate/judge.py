"""Gates -> pass, fail or inconclusive, at the confidence that they ask for."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec
import numpy as np

from loadtest.gate.expression import Agreement, Condition, Quantile, Recovery, Throughput, Unit, parse, show, unit_of
from loadtest.gate.measure import events, per_second, spans
from loadtest.gate.recovery import recovery_ns
from loadtest.payload import Payload
from loadtest.quality.agreement import agreement
from loadtest.quantity import S, show_ns
from loadtest.scenario.spec import GateSpec
from loadtest.statistics.early_stopping import Verdict, decide, needed
from loadtest.statistics.effective import effective
from loadtest.statistics.interval import exact, of_quantile
from loadtest.view import FOREVER_NS, View, quantile_ns

_LONG_NS = 10 * S


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """A condition of a gate, judged.

    `value`, `low`, `high` are in `unit`; each limit is one-sided at the confidence of one look, so that a condition
    passes when its limit is outside them, on the right side. None: unknown, or (in JSON) infinite.
    `n`: requests that count; `n_eff`: how many independent ones they are worth; `needed`: how many of them, as
    clustered as these, the `misses` so far would need to pass. The last four are None where nothing is estimated.
    """

    gate: str
    on: str
    unit: Unit
    verdict: Verdict
    why: str
    confidence: float
    limit: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_eff: float | None = None
    misses: int | None = None
    needed: int | None = None


def judge(view: View, gates: Iterable[GateSpec], *, payloads: tuple[Payload, ...] = ()) -> tuple[GateResult, ...]:
    """One result for each condition, in the order of the gates.

    A run that is looked at more than once before it ends says so; each look takes its part of 1 - confidence
    (Bonferroni).

    Args:
        view: of the whole run; each gate takes its own phases.
        payloads: for the labels that `accuracy` asks for.
    Raises: ScenarioError: an expression or a phase that cannot be.
    """
    results: list[GateResult] = []
    for gate in gates:
        part = view.on(gate.on)
        level = 1 - (1 - gate.confidence) / view.record.looks
        span_ns = sum(phase.end_ns - phase.start_ns for phase in spans(view.record, gate.on))
        found = [_judge(part, gate, condition, level, payloads) for condition in parse(gate.expr)]
        results += [_hedged(each, span_ns) for each in found]
    return tuple(results)


def overall(results: Iterable[GateResult]) -> Verdict:
    """One that fails fails all; one that is open leaves all open. No gate at all: pass."""
    verdicts = {result.verdict for result in results}
    return "fail" if "fail" in verdicts else "inconclusive" if "inconclusive" in verdicts else "pass"


def _judge(view: View, gate: GateSpec, condition: Condition, level: float, payloads: tuple[Payload, ...]) -> GateResult:
    match condition.metric:
        case Throughput(in_time):
            return _compared(view, gate, condition, per_second(view, gate.on, in_time=in_time))
        case Recovery() as metric:
            found_ns = recovery_ns(view, metric, gate.on)
            return _compared(view, gate, condition, found_ns, "" if found_ns is None else _recovered(metric, found_ns))
        case Quantile(q):
            result = _tested(gate, condition, ~view.met(int(condition.limit)), q, level)
            return _as_quantile(result, view.latency_ns, q, level)
        case Agreement() as metric:
            return _agreed(view, gate, condition, metric, level)
        case metric:
            found = events(view, metric, payloads)
            if condition.is_at_least:
                return _tested(gate, condition, ~found, condition.limit, level)
            return _tested(gate, condition, found, 1 - condition.limit, level)


def _tested(gate: GateSpec, condition: Condition, missed: np.ndarray, p: float, level: float) -> GateResult:
    """Test that a share `p` at least does not miss. The value is the share on which the condition has its limit."""
    n, misses = len(missed), int(np.count_nonzero(missed))
    if not n:
        return _result(gate, condition, "inconclusive", "no request counts")
    worth = effective(missed)
    each = worth.n / n
    verdict = decide(worth.n, misses * each, p, level)
    wanted = needed(misses, p, level, each)
    why = _reason(verdict, n, misses, wanted, p)
    if verdict == "pass" and not worth.is_known:
        verdict, why = "inconclusive", f"the {misses} misses come in bursts too long for a run of this length"
    low, high = exact(misses * each, worth.n, level)
    share = misses / n
    if condition.is_at_least:
        low, share, high = 1 - high, 1 - share, 1 - low
    if each < 1 and misses:
        why += f"; clustered as they are, {n:,} requests are worth {worth.n:,.0f}"
    return _result(
        gate, condition, verdict, why,
        value=share, low=low, high=high, n=n, n_eff=worth.n, misses=misses, needed=wanted,
    )  # fmt: skip


def _as_quantile(result: GateResult, latency_ns: np.ndarray, q: float, level: float) -> GateResult:
    """The same test, told as the quantile and its order statistics."""
    if not result.n:
        return result
    low, high = of_quantile(latency_ns, q, level, result.n_eff)
    return msgspec.structs.replace(
        result,
        value=quantile_ns(latency_ns, q),
        low=_or_never(max(0.0, low)),
        high=_or_never(high),
    )


def _agreed(view: View, gate: GateSpec, condition: Condition, metric: Agreement, level: float) -> GateResult:
    """Of each rung a few answers were asked for again; they are weighted back to the mix of the run."""
    repeats = [each for each in view.record.repeats if each.reference_rung == metric.reference]
    found = agreement(view, repeats, level, exact)
    estimate = found.degraded if metric.rung is None else found.rungs.get(metric.rung)
    if not (view.is_answered & (view.sample["degraded"] != 0)).any():
        return _result(gate, condition, "inconclusive", "no answer tells whether it was degraded")
    if estimate is None or not estimate.total:
        return _result(gate, condition, "pass", "no answer was degraded")
    if not estimate.count:
        why = f"none of {estimate.total:,} degraded answers has a reference; quality.replay says how many are asked for"
        return _result(gate, condition, "inconclusive", why)
    low, high = (estimate.low, estimate.high) if condition.is_at_least else (1 - estimate.high, 1 - estimate.low)
    limit = condition.limit if condition.is_at_least else 1 - condition.limit
    verdict: Verdict = "pass" if low >= limit else "fail" if high < limit else "inconclusive"
    why = f"{estimate.count:,} of {estimate.total:,} degraded answers were asked for again"
    return _result(
        gate, condition, verdict, why, value=estimate.value, low=estimate.low, high=estimate.high, n=estimate.count
    )


def _recovered(metric: Recovery, ns: float) -> str:
    wanted = f"{100 * metric.share:.4g} % of a second's requests answered in full by large"
    if math.isinf(ns):
        return f"it never came back to {wanted}"
    return f"{wanted} {f'from {show_ns(ns)} on' if ns else 'all the time'}"


def _hedged(result: GateResult, span_ns: int) -> GateResult:
    """A proof from a few seconds says how few: nothing in them tells of what stalls a server twice a minute."""
    if result.verdict != "pass" or result.n_eff is None or span_ns >= _LONG_NS:
        return result
    told = f"; seen for {show_ns(span_ns)} only: rarer stalls are not ruled out"
    return msgspec.structs.replace(result, why=result.why + told)


def _or_never(ns: float) -> float:
    return math.inf if ns >= FOREVER_NS else ns


def _compared(view: View, gate: GateSpec, condition: Condition, value: float | None, told: str = "") -> GateResult:
    """A number that is as it is: nothing is estimated, so it passes or fails."""
    if value is None or not len(view):
        return _result(gate, condition, "inconclusive", "no request counts")
    is_met = value >= condition.limit if condition.is_at_least else value <= condition.limit
    why = f"{told or 'as measured'}; no confidence is claimed"
    return _result(gate, condition, "pass" if is_met else "fail", why, value=value, n=len(view))


def _reason(verdict: Verdict, n: int, misses: int, wanted: int | None, p: float) -> str:
    if verdict == "fail":
        return f"{misses:,} of {n:,} miss; if {100 * (1 - p):.4g} % at most did, so many would be too rare"
    requests = "more requests than a run can have" if wanted is None else f"{wanted:,} requests"
    if verdict == "pass":
        return f"{misses:,} of {n:,} miss; {requests} were needed for that"
    return f"{misses:,} of {n:,} miss; it takes {requests} to pass with so many"


def _result(
    gate: GateSpec,
    condition: Condition,
    verdict: Verdict,
    why: str,
    **found: float | None,
) -> GateResult:
    return GateResult(
        gate=show(condition),
        on=gate.on,
        unit=unit_of(condition.metric),
        verdict=verdict,
        why=why,
        confidence=gate.confidence,
        limit=condition.limit,
        **found,  # type: ignore[arg-type] # by their names
    )
