"""What the sections of a summary are made of, and how they cut time."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from loadtest.quantity import MS, S
from loadtest.run import RunRecord
from loadtest.view import FOREVER_NS

_STEPS = (1, 2, 5, 10, 15, 30)
_WINDOWS_NS = (
    *(100 * MS * each for each in (1, 2, 5)),
    *(S * each for each in _STEPS),
    *(60 * S * each for each in _STEPS),
    *(3_600 * S * each for each in (1, 2, 6, 12, 24)),
)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the JSON output. Times are int nanoseconds; null: never, or nothing to tell it from."""


class Histogram(Part, frozen=True, kw_only=True):
    """`counts[i]` lie between `edges_ns[i]` and `edges_ns[i + 1]`; the first and the last take what is beyond."""

    edges_ns: tuple[int, ...]
    counts: tuple[int, ...]


def histogram(values_ns: np.ndarray, low_ns: int, high_ns: int, per_decade: int) -> Histogram:
    """Log-spaced from `low_ns` to `high_ns`, which are decades apart."""
    decades = round(math.log10(high_ns / low_ns))
    edges = np.round(np.geomspace(low_ns, high_ns, decades * per_decade + 1)).astype(np.int64)
    bins = np.clip(np.searchsorted(edges, values_ns, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(bins, minlength=len(edges) - 1)
    return Histogram(edges_ns=tuple(edges.tolist()), counts=tuple(counts.tolist()))


def phases_of(record: RunRecord) -> dict[str, list[int]]:
    """Measured phases by name; a merged run may have several of one name."""
    found: dict[str, list[int]] = {}
    for at, phase in enumerate(record.phases):
        if phase.measure:
            found.setdefault(phase.name, []).append(at)
    return found


def window_ns(span_ns: int, most: int) -> int:
    """The shortest round window that cuts `span_ns` into at most `most`."""
    return next((each for each in _WINDOWS_NS if each * most >= span_ns), _WINDOWS_NS[-1])


def ranked(sorted_ns: np.ndarray, shares: np.ndarray) -> tuple[int | None, ...]:
    """Quantiles of latencies in ascending order, as `view.quantile_ns` defines them."""
    if not len(sorted_ns):
        return (None,) * len(shares)
    ranks = np.clip(np.ceil(shares * len(sorted_ns) - 1e-9).astype(np.int64) - 1, 0, len(sorted_ns) - 1)
    return tuple(None if found == FOREVER_NS else int(found) for found in sorted_ns[ranks])


def share_of(part: float, whole: float) -> float | None:
    """None of nothing."""
    return float(part) / float(whole) if whole else None
