"""Policies side by side on the same days: means with 95 % intervals, and intervals of the differences day by day.

The days are common to all policies (common random numbers), so a difference is far surer than either of its sides.
"""

from __future__ import annotations

import math
from statistics import NormalDist, fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from router.simulate.measure import Line, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONFIDENCE = 0.95
_T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""Student's t of 97.5 % with 1, 2, … degrees of freedom; beyond, by Fisher's expansion."""


class Metric(NamedTuple):
    """`better`: 1: more is, -1: less is, 0: neither. `unit`: share, s, or none."""

    key: str
    name: str
    unit: str
    better: int


LINE_METRICS = (
    Metric("service_level", "SL", "share", 1),
    Metric("answered_level", "SL of answered", "share", 1),
    Metric("asa_s", "ASA", "s", -1),
    Metric("wait_p90_s", "p90 wait", "s", -1),
    Metric("abandoned_share", "abandoned", "share", -1),
)
DAY_METRICS = (
    Metric("occupancy", "occupancy", "share", 0),
    Metric("gini", "Gini of occupancy", "", -1),
    Metric("spread_ratio", "highest / lowest", "", -1),
    Metric("missed_share", "offers missed", "share", -1),
    Metric("contained_share", "bot alone", "share", 1),
)


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over days. `low`, `high`: its interval; None: of one day there is none. `days`: of which there was one."""

    mean: float
    low: float | None
    high: float | None
    days: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a queue, or of the whole day (`queue` is `all`)."""

    queue: str
    metric: str
    value: Estimate


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Customers of a queue, a day in the mean."""

    queue: str
    customers: float
    answered: float
    abandoned: float
    turned_away: float
    unserved: float


class PolicyResult(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str
    counts: tuple[Counted, ...]
    measures: tuple[Measured, ...]
    differences: tuple[Measured, ...]
    """To the first policy, day by day; empty for the first."""
    outcomes: tuple[Outcome, ...]
    """Each day."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The whole result; what `--json` prints, without `outcomes`."""

    world: str
    description: str
    seed: int
    days: int
    confidence: float
    targets_s: dict[str, float]
    policies: tuple[PolicyResult, ...]


def policy_result(name: str, version: str, outcomes: Sequence[Outcome], base: Sequence[Outcome] | None) -> PolicyResult:
    """Args: base: the first policy's outcomes of the same days; None: this is the first."""
    queues = [line.queue for line in max(outcomes, key=lambda each: len(each.lines)).lines]
    measures, differences = [], []
    for queue, metric, read in _reads(queues):
        values = [read(each) for each in outcomes]
        known = [each for each in values if each is not None]
        if known:
            measures.append(Measured(queue=queue, metric=metric.key, value=estimate(known)))
        if base is None:
            continue
        gaps = [
            value - other
            for value, other in zip(values, map(read, base), strict=True)
            if value is not None and other is not None
        ]
        if gaps:
            differences.append(Measured(queue=queue, metric=metric.key, value=estimate(gaps)))
    return PolicyResult(
        name=name,
        version=version,
        counts=tuple(_count(queue, outcomes) for queue in queues),
        measures=tuple(measures),
        differences=tuple(differences),
        outcomes=tuple(outcomes),
    )


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and Student's interval of independent days."""
    mean, days = fmean(values), len(values)
    if days == 1:
        return Estimate(mean=mean, low=None, high=None, days=1)
    half = student(days - 1) * stdev(values) / math.sqrt(days)
    return Estimate(mean=mean, low=mean - half, high=mean + half, days=days)


def student(freedom: int) -> float:
    """The quantile of a two-sided 95 % interval, to 0.001."""
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def find(measured: Sequence[Measured], queue: str, metric: str) -> Estimate | None:
    return next((each.value for each in measured if (each.queue, each.metric) == (queue, metric)), None)


def _reads(queues: Sequence[str]) -> list[tuple[str, Metric, Callable[[Outcome], float | None]]]:
    def of_line(queue: str, metric: Metric) -> Callable[[Outcome], float | None]:
        return lambda outcome: next((getattr(each, metric.key) for each in outcome.lines if each.queue == queue), None)

    def of_day(metric: Metric) -> Callable[[Outcome], float | None]:
        return lambda outcome: getattr(outcome, metric.key)

    lines = [(queue, metric, of_line(queue, metric)) for queue in queues for metric in LINE_METRICS]
    return [*lines, *((queues[0], metric, of_day(metric)) for metric in DAY_METRICS)]


def _count(queue: str, outcomes: Sequence[Outcome]) -> Counted:
    lines: list[Line] = [line for each in outcomes for line in each.lines if line.queue == queue]

    def mean(name: str) -> float:
        return float(sum(getattr(line, name) for line in lines) / len(outcomes))

    return Counted(
        queue=queue,
        customers=mean("customers"),
        answered=mean("answered"),
        abandoned=mean("abandoned"),
        turned_away=mean("turned_away"),
        unserved=mean("unserved"),
    )
