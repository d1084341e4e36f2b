"""Is the new run worse than the old one, or is that noise? Differences with intervals, and a verdict for each.

Intervals are simultaneous over all metrics that are judged: of comparisons of a thing with itself, at most one in
twenty says that anything differs. They come from a bootstrap over blocks of time (`resample`), and are never narrower
than what the pairs of runs differ by among themselves.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from loadtest.difference import Difference, differences
from loadtest.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.view import View

Verdict = Literal["better", "worse", "different", "equal", "inconclusive"]

CONFIDENCE = 0.95
TOLERANCE = 0.05
# Of a share, in points: 99.0 % and 98.5 % are not equal, though 0.5 % of 0.99 is nearly nothing.
SHARE_TOLERANCE = 0.005
MOST_PAIRS = 50


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` is made of."""


class Metric(Record, frozen=True, kw_only=True):
    """A number of both sides.

    Attributes:
        unit: `ns`: base and new are times, the difference is relative, 0.1 is 10 % slower; `share`: all in 0..1,
            the difference in points.
        low, high: the interval of the difference.
        judged: counts toward the overall verdict; what does not is there to explain it.
    """

    name: str
    unit: Literal["ns", "share"]
    base: float
    new: float
    difference: float
    low: float
    high: float
    judged: bool
    verdict: Verdict
    why: str = ""


class Comparison(Record, frozen=True, kw_only=True):
    """Two sides, of one run each or of several pairs. `paired`: each pair had the same requests at the same times."""

    base: str
    new: str
    pairs: int
    paired: bool
    requests: tuple[int, int]
    confidence: float
    tolerance: float
    share_tolerance: float
    metrics: tuple[Metric, ...]
    verdict: Verdict
    notes: tuple[str, ...]


def compare(
    pairs: Sequence[tuple[View, View]],
    rng: np.random.Generator,
    *,
    names: tuple[str, str] = ("base", "new"),
    tolerance: float = TOLERANCE,
) -> Comparison:
    """Compare the measured phases of pairs of runs, (base, new) each.

    Args:
        tolerance: a relative difference of times that does not matter; one of shares is SHARE_TOLERANCE.
    Raises: ScenarioError: a run has no request in a measured phase, or there are too many runs.
    """
    if not 1 <= len(pairs) <= MOST_PAIRS:
        raise ScenarioError(f"{len(pairs)} pairs of runs: there must be 1 to {MOST_PAIRS}")
    sides = [view.on("all") for view, _ in pairs], [view.on("all") for _, view in pairs]
    if not all(len(view) for side in sides for view in side):
        raise ScenarioError("nothing to compare: a run has no request in a measured phase")
    paired = all(is_same_schedule(base, new) for base, new in zip(*sides, strict=True))
    requests = sum(map(len, sides[0])), sum(map(len, sides[1]))
    found = differences(sides, paired=paired, rng=rng)
    critical = _critical([each.replicates for each in found if each.kind.judged and each.is_finite])
    metrics = tuple(_judge(each, critical, tolerance, min(requests)) for each in found)
    return Comparison(
        base=names[0],
        new=names[1],
        pairs=len(pairs),
        paired=paired,
        requests=requests,
        confidence=CONFIDENCE,
        tolerance=tolerance,
        share_tolerance=SHARE_TOLERANCE,
        metrics=metrics,
        verdict=overall([metric.verdict for metric in metrics if metric.judged]),
        notes=tuple(_notes(sides, paired=paired)),
    )


def is_same_schedule(base: View, new: View) -> bool:
    """Whether both sent the same rows with the same budgets at the same times."""
    fields = ["intended_ns", "budget_ns", "payload", "phase", "criticality", "channel"]
    return len(base) == len(new) and all(np.array_equal(base.planned[at], new.planned[at]) for at in fields)


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """One worse is worse; else one better is better; equal only if all are."""
    for decisive in ("worse", "better"):
        if decisive in verdicts:
            return decisive
    return "equal" if verdicts and all(each == "equal" for each in verdicts) else "inconclusive"


def _critical(judged: list[np.ndarray]) -> float:
    """So many standard errors hold all metrics at once with CONFIDENCE: by the largest deviation in each replicate."""
    varying = [each for each in judged if each.std() > 0]
    if not varying:
        return NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    largest = np.max([np.abs(each - each.mean()) / each.std() for each in varying], axis=0)
    return float(np.quantile(largest, CONFIDENCE))


def _judge(each: Difference, critical: float, tolerance: float, requests: int) -> Metric:
    kind, (low, high) = each.kind, each.interval(critical)
    limit = float(np.log1p(tolerance)) if kind.unit == "ns" else SHARE_TOLERANCE
    why, verdict = "", _verdict(low, high, limit, kind.better)
    if requests < kind.least:
        why, verdict = f"needs {kind.least:,} requests on each side", "inconclusive"
    difference, low, high = (float(np.expm1(x)) if kind.unit == "ns" else x for x in (each.point, low, high))
    return Metric(
        name=kind.name,
        unit=kind.unit,
        base=each.base,
        new=each.new,
        difference=difference,
        low=low,
        high=high,
        judged=kind.judged,
        verdict=verdict,
        why=why,
    )


def _verdict(low: float, high: float, limit: float, better: Literal["lower", "higher"] | None) -> Verdict:
    if -limit <= low and high <= limit:
        return "equal"
    if low <= 0 <= high:
        return "inconclusive"
    if better is None:
        return "different"
    return "better" if (high < 0) == (better == "lower") else "worse"


def _notes(sides: tuple[list[View], list[View]], *, paired: bool) -> list[str]:
    notes = []
    if not paired:
        notes.append(
            "the schedules differ, so chance in the arrivals is in the intervals too;"
            " the same scenario with the same seed tells more"
        )
    if len(sides[0]) == 1:
        notes.append("one run a side: what differs from run to run as such is not in the intervals; --repeat tells")
    cut = sum(view.record.status != "complete" for side in sides for view in side)
    if cut:
        notes.append(f"{cut} of the runs did not go to the end; what they did not send counts as misses")
    return notes
