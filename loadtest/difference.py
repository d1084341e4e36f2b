"""The metrics of a comparison, of two sides as they were and as they would have been (`resample`)."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from loadtest import resample
from loadtest.sample import DEGRADED, RUNGS
from loadtest.statistics.binomial import beta_cdf
from loadtest.view import quantile_ns

if TYPE_CHECKING:
    from loadtest.view import View

    Sides = tuple[list[View], list[View]]

QUANTILES = (0.5, 0.9, 0.99)
# Fewer say nothing of a quantile: this many above it, and this many for each block.
_LEAST_ABOVE, _LEAST_PER_BLOCK = 10, 10
# If none of fewer misses, a share may well be half a point off, which is the tolerance (the rule of three).
_LEAST_OF_SHARE = 600
_HALVINGS = 60  # of an interval, until its length is that of a rounding error


class Kind(NamedTuple):
    """What a metric is. `least`: requests on each side without which it is not judged."""

    name: str
    unit: Literal["ns", "share"]
    better: Literal["lower", "higher"] | None
    judged: bool
    least: int


class Difference(NamedTuple):
    """A metric's numbers: new - base; where these are times, of their logarithms.

    Shapes: pairs float64[pairs], of each pair of runs; replicates float64[REPLICATES].
    """

    kind: Kind
    base: float
    new: float
    pairs: np.ndarray
    blocks: int
    replicates: np.ndarray

    @property
    def point(self) -> float:
        """Of all runs together."""
        return float(minus(self.kind.unit, np.array(self.base), np.array(self.new)))

    @property
    def is_finite(self) -> bool:
        """No run, and no replicate, in which a quantile never came."""
        return bool(np.isfinite([self.point, *self.pairs]).all() and np.isfinite(self.replicates).all())

    def interval(self, critical: float) -> tuple[float, float]:
        """The difference, and `critical` standard errors (were they known exactly) to either side.

        The error is that of the blocks, or what the pairs differ by, whichever tells less: each by itself is known as
        well as there are blocks, or pairs. A mixture would be narrower, and wrong whenever a few pairs that vary
        happen to be alike: in 12 of 100 comparisons of a thing with itself, found by simulation.
        """
        if not self.is_finite:  # never has no standard error: everything that was seen
            seen = [self.point, *self.pairs, *self.replicates]
            return min(seen), max(seen)
        reach, pairs = students(critical, self.blocks - 1) * float(self.replicates.std()), len(self.pairs)
        if pairs > 1:
            reach = max(reach, students(critical, pairs - 1) * float(self.pairs.std(ddof=1)) / math.sqrt(pairs))
        return self.point - reach, self.point + reach


def differences(sides: Sides, *, paired: bool, rng: np.random.Generator) -> list[Difference]:
    """Every metric. `paired`: both sides had the same schedules, so the same blocks are drawn of both."""
    seen = np.unique(np.concatenate([view.sample["rung"][view.is_answered] for side in sides for view in side]))
    rungs = [int(rung) for rung in seen if rung]  # 0: a server that says none, so nothing is known of its quality
    counted = [resample.count(side, resample.windows_of(side), *_masks(side, rungs)) for side in sides]
    blocks = resample.blocks(*counted, paired=paired)
    drawn = [resample.draws(rng, blocks)] * 2 if paired else [resample.draws(rng, blocks) for _ in sides]
    times = [
        np.vstack([resample.quantiles_ns(side, draw, QUANTILES), resample.means_ns(side, draw)])
        for side, draw in zip(counted, drawn, strict=True)
    ]
    shares = [resample.shares(side, draw) for side, draw in zip(counted, drawn, strict=True)]
    replicates = [*minus("ns", times[0], times[1]), *minus("share", shares[0], shares[1])]
    # float64[metrics, 1 + runs]: of all runs of a side, then of each.
    base, new = (np.array([_exact(views, rungs) for views in [side, *([view] for view in side)]]).T for side in sides)
    return [
        Difference(kind, float(old[0]), float(now[0]), minus(kind.unit, old[1:], now[1:]), blocks, anew)
        for kind, old, now, anew in zip(_kinds(rungs), base, new, replicates, strict=True)
    ]


def students(z: float, freedom: float) -> float:
    """The quantile of Student's t where the normal one is `z`, above 0."""
    beyond = 2 * NormalDist().cdf(-z)
    low, high = 0.0, 1.0  # of freedom / (freedom + t^2), which has a beta distribution
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if beta_cdf(middle, freedom / 2, 0.5) > beyond else (middle, high)
    return math.sqrt(freedom * (1 / high - 1))


def minus(unit: str, base: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The difference, of logarithms where these are times; never and never are the same."""
    if unit == "share":
        apart: np.ndarray = new - base
        return apart
    with np.errstate(invalid="ignore"):
        apart = np.log(np.maximum(new, 1)) - np.log(np.maximum(base, 1))
    return np.where(np.isinf(base) & np.isinf(new), 0.0, apart)


def _kinds(rungs: list[int]) -> list[Kind]:
    """In the order of `_exact`. The mean leaves out who got no answer, and a rung is neither good nor bad."""
    least = _LEAST_PER_BLOCK * resample.BLOCKS[0]
    return [
        *(
            Kind(f"p{100 * q:g}", "ns", "lower", judged=True, least=max(least, round(_LEAST_ABOVE / (1 - q))))
            for q in QUANTILES
        ),
        Kind("mean of answered", "ns", "lower", judged=False, least=least),
        Kind("in budget", "share", "higher", judged=True, least=_LEAST_OF_SHARE),
        *([Kind("not degraded", "share", "higher", judged=True, least=_LEAST_OF_SHARE)] if rungs else []),
        *(Kind(f"rung {RUNGS[rung]}", "share", None, judged=False, least=least) for rung in rungs),
    ]


def _exact(views: list[View], rungs: list[int]) -> list[float]:
    """All metrics of some runs together."""
    latency_ns = np.concatenate([view.latency_ns for view in views])
    answered_ns = np.concatenate([view.latency_ns[view.is_answered] for view in views])
    shares, of = _masks(views, rungs)
    return [
        *(quantile_ns(latency_ns, q) for q in QUANTILES),
        float(answered_ns.mean()) if len(answered_ns) else float("inf"),
        *(float(mask.sum() / max(1, whole.sum())) for mask, whole in zip(shares, of, strict=True)),
    ]


def _masks(views: list[View], rungs: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each share: which requests have it, and out of which."""
    answered = np.concatenate([view.is_answered for view in views])
    met = np.concatenate([view.met() for view in views])
    whole = np.concatenate([view.sample["degraded"] == DEGRADED.index("none") for view in views])
    rung = np.concatenate([view.sample["rung"] for view in views])
    shares = [met, *([whole & answered] if rungs else []), *((rung == each) & answered for each in rungs)]
    return shares, [np.ones(len(met), bool), *[answered] * (len(shares) - 1)]
