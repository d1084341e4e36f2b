"""Least squares for what a batch costs on average: a fixed part, a part per text and a part per padded character.

All three are >= 0, so a prediction never falls with more texts or longer ones. What was seen is forgotten towards the
profile, not towards nothing: where traffic says nothing (with texts = 1 only, the fixed part cannot be told from the
part per text) the profile goes on deciding, and no covariance winds up.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean, median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# A batch counts half after 140 more; 1 / (1 - _KEEP) = 200 count in all.
_KEEP = 0.995
# The profile counts as much as this many batches, for ever; what it says nothing of is held by this little.
_PROFILE_BATCHES, _RIDGE_BATCHES = 10.0, 0.1
# One sweep a batch is enough: 150 batches after the fixed part and the part per character changed places, means are off
# by 24 % with one, by 21 % with fifty; in steady state both by 3 % (10 seeds, costs +- 25 %).
_SWEEPS, _SWEEPS_OF_PROFILE = 1, 1_000
# Normal equations of the three weights, as the nine numbers (a, b, c, d, e, f, p, q, r):
#     a fixed + b each + c character = p
#     b fixed + d each + e character = q
#     c fixed + e each + f character = r
Equations = tuple[float, ...]
Weights = tuple[float, ...]
_NOTHING: Equations = (0.0,) * 9


class Sample(NamedTuple):
    """One batch that was run: how many texts, the characters of the longest, what it cost."""

    texts: int
    longest: int
    cost_ns: int


class Regression:
    """Weights of [1, texts, texts * longest], in ns, that keep the relative errors of late batches small.

    Safety: one writer; other threads may call `mean_ns`.
    """

    __slots__ = ("_profile", "_profile_weights", "_pull", "_sums", "weights")

    def __init__(self, profile: Sequence[Sample]) -> None:
        """Fit the median cost of each size in the profile. Of one size alone the cost is a constant.

        Raises: ValueError: no sample, or one without texts or cost.
        """
        costs: dict[tuple[int, int], list[int]] = defaultdict(list)
        for sample in profile:
            if sample.texts <= 0 or sample.cost_ns <= 0:
                raise ValueError(f"a sample of a profile has texts and cost_ns > 0, not {sample}")
            costs[sample.texts, max(1, sample.longest)].append(sample.cost_ns)
        if not costs:
            raise ValueError("a profile has at least one sample")
        sums = _NOTHING
        for (texts, longest), seen in costs.items():
            sums = _added(sums, 1.0, _NOTHING, _features(texts, longest, median(seen)), 1.0)
        self.weights = _solved(sums, (0.0, 0.0, 0.0), _SWEEPS_OF_PROFILE)
        # The first call of a model may take a hundred times as long as the others. So medians give the shape, and the
        # mean ratio without its largest the level.
        ratios = sorted(sample.cost_ns / self.mean_ns(sample.texts, sample.longest) for sample in profile)
        level = fmean(ratios[:-1] or ratios)
        self._profile_weights = tuple(level * weight for weight in self.weights)
        self._profile = _solved_by(self._profile_weights, tuple(_PROFILE_BATCHES / len(costs) * each for each in sums))
        self._pull = tuple((1.0 - _KEEP) * each for each in self._profile)
        self.restart()

    def restart(self) -> None:
        """Forget all but the profile."""
        self._sums = self._profile
        self.weights = self._profile_weights

    def fade(self, share: float) -> None:
        """Keep this share of what was learned."""
        self._sums = _mixed(self._profile, self._sums, share)
        self.weights = _mixed(self._profile_weights, self.weights, share)

    def mean_ns(self, texts: int, longest: int) -> float:
        """> 0 from one text on, however short."""
        fixed, each, character = self.weights
        return fixed + texts * (each + max(1, longest) * character)

    def learn(self, texts: int, longest: int, mean_ns: float, ratio: float) -> None:
        """Learn that a batch cost `ratio` times the `mean_ns` > 0 that was predicted. Cost: 1.5 us."""
        self._sums = sums = _added(self._sums, _KEEP, self._pull, _features(texts, longest, mean_ns), ratio)
        self.weights = _solved(sums, self.weights, _SWEEPS)


def _features(texts: int, longest: int, mean_ns: float) -> tuple[float, float, float]:
    """Of a batch that costs about `mean_ns`: with them, errors are relative."""
    x = 1.0 / mean_ns
    y = texts * x
    return x, y, longest * y


def _added(
    sums: Equations, keep: float, pull: Equations, features: tuple[float, float, float], target: float
) -> Equations:
    """A share `keep` of what was, something constant, and one more batch."""
    a, b, c, d, e, f, p, q, r = sums
    pa, pb, pc, pd, pe, pf, pp, pq, pr = pull
    x, y, z = features
    return (
        keep * a + pa + x * x,
        keep * b + pb + x * y,
        keep * c + pc + x * z,
        keep * d + pd + y * y,
        keep * e + pe + y * z,
        keep * f + pf + z * z,
        keep * p + pp + x * target,
        keep * q + pq + y * target,
        keep * r + pr + z * target,
    )


def _solved(equations: Equations, weights: Weights, sweeps: int) -> Weights:
    """Weights >= 0 closer to the solution than those given: some sweeps of projected Gauss-Seidel."""
    a, b, c, d, e, f, p, q, r = equations
    fixed, each, character = weights
    for _ in range(sweeps):
        fixed = max((p - b * each - c * character) / a, 0.0)
        each = max((q - b * fixed - e * character) / d, 0.0)
        character = max((r - c * fixed - e * each) / f, 0.0)
    return fixed, each, character


def _solved_by(weights: Weights, equations: Equations) -> Equations:
    """The left sides with some ridge on the diagonal, and the right sides that make these weights the solution."""
    a, b, c, d, e, f, *_ = equations
    a, d, f = ((1.0 + _RIDGE_BATCHES / _PROFILE_BATCHES) * diagonal for diagonal in (a, d, f))
    fixed, each, character = weights
    return (
        a, b, c, d, e, f,
        a * fixed + b * each + c * character,
        b * fixed + d * each + e * character,
        c * fixed + e * each + f * character,
    )  # fmt: skip


def _mixed(profile: tuple[float, ...], learned: tuple[float, ...], share: float) -> tuple[float, ...]:
    return tuple(was + share * (now - was) for was, now in zip(profile, learned, strict=True))
