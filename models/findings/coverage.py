"""How much of the traffic a rung may keep, and how right it is on that: the choice of a threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from models.calibrate import ece
from models.evaluate import routes_of, scope_of
from models.findings.checked import kept, routed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.findings.checked import RungCheck
    from models.spec import RungManifest

WANTED = (0.9, 0.95, 0.97, 0.98, 0.99)
_POINTS = 200  # of a curve: more than a plot has pixels for
_STEADY_ROWS = 20  # on fewer rows one mistake moves the accuracy by more than 5 points: no point of a curve
_BINS = 10


class Point(Struct, frozen=True, kw_only=True):
    """Taking routes from `confidence` on keeps `kept_share` of the texts in scope, `accuracy` of them right."""

    confidence: float
    kept_share: float
    accuracy: float


class Bin(Struct, frozen=True, kw_only=True):
    """Rows of like confidence: how sure the rung was on average, and how right."""

    confidence: float
    accuracy: float
    rows: int


class RungQuality(Struct, frozen=True, kw_only=True):
    """One rung on the held-out rows; shares are of the rows in scope.

    `at_threshold` is None where nothing is kept; `choices` has for each of `WANTED` the point that keeps most, None
    where no threshold gets there. `oos_kept` of `oos_total` out-of-scope rows are sent to a route.
    """

    name: str
    accuracy: float
    ece: float
    threshold: float
    at_threshold: Point | None
    curve: tuple[Point, ...]
    choices: tuple[Point | None, ...]
    bins: tuple[Bin, ...]
    oos_kept: int
    oos_total: int


def assess(rung: RungCheck, truth: NDArray[np.int64], labels: Sequence[str]) -> RungQuality:
    """Quality of one rung. Shapes: truth: int64[n], at least one row in scope."""
    in_scope = scope_of(truth, labels)
    shares = rung.shares[in_scope]
    answers, confidence = shares.argmax(axis=1), shares.max(axis=1)
    right = answers == truth[in_scope]
    routes = routes_of(labels)
    can_keep = routed(rung, routes)[in_scope]
    points = _curve(confidence[can_keep], right[can_keep], len(right))
    sent = kept(rung, routes)
    at_threshold = [point for point in points if point.confidence >= rung.threshold]
    steady = [point for point in points if point.kept_share * len(right) >= _STEADY_ROWS] or points[-1:]
    step = max(1, -(-len(steady) // _POINTS))
    return RungQuality(
        name=rung.name,
        accuracy=float(right.mean()),
        ece=ece(confidence, right),
        threshold=rung.threshold,
        at_threshold=at_threshold[-1] if at_threshold else None,
        curve=tuple(steady[::-step][::-1]),  # counted from the end, which tells the accuracy without a threshold
        choices=tuple(next((p for p in reversed(steady) if p.accuracy >= wanted), None) for wanted in WANTED),
        bins=_bins(confidence, right),
        oos_kept=int(sent[~in_scope].sum()),
        oos_total=int((~in_scope).sum()),
    )


def with_kept(spec: RungManifest, quality: RungQuality) -> RungManifest:
    """What a manifest says of the rung, and what its threshold keeps."""
    point = quality.at_threshold
    if point is None:
        return replace(spec, kept_share=0.0)
    return replace(spec, kept_share=point.kept_share, kept_accuracy=point.accuracy)


def _curve(confidence: NDArray[np.float32], right: NDArray[np.bool_], rows: int) -> list[Point]:
    """A point for each confidence that occurs, surest first."""
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)])
    correct = np.cumsum(right[order])
    return [
        Point(confidence=float(ordered[i]), kept_share=(i + 1) / rows, accuracy=float(correct[i] / (i + 1)))
        for i in ends.tolist()
    ]


def _bins(confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """Ten equal bins of confidence, empty ones left out."""
    number = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    return tuple(
        Bin(confidence=float(confidence[here].mean()), accuracy=float(right[here].mean()), rows=int(here.sum()))
        for here in (number == i for i in np.unique(number))
    )
