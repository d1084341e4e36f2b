"""A histogram with fixed edges: cheap to feed on the request path, exact to merge."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from math import ceil


class Histogram:
    """Counts of values between fixed edges.

    Bucket `i` holds the values in `(edges[i-1], edges[i]]`, the first one everything up to `edges[0]`, one
    more behind the last edge the rest: Prometheus' `le` semantics, so that exporting is a running sum.

    Error bound of `quantile`: the answer lies in the bucket of the exact sample quantile, so it is off by at
    most that bucket's width (for values >= 0). Beyond the last edge only "more than `edges[-1]`" is known.

    Safety: one writer. Readers in other threads may see a sum that is one observation behind the counts.
    """

    __slots__ = ("counts", "edges", "sum")

    def __init__(self, edges: tuple[int, ...]) -> None:
        if not edges or edges[0] <= 0 or any(low >= high for low, high in pairwise(edges)):
            raise ValueError(f"edges must be positive and strictly rising, not {edges!r}")
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.sum = 0

    def observe(self, value: int) -> None:
        """Count one value >= 0, in the unit of the edges. Cost: about 0.2 us."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.counts)

    def quantile(self, q: float) -> float:
        """Estimate the smallest value that at least a share `q` of the observations does not exceed.

        Returns: interpolated within its bucket; `edges[-1]` beyond the last edge; 0.0 of nothing.
        Raises: ValueError: q outside 0..1.
        """
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"q must be within 0..1, not {q!r}")
        rank = max(1, ceil(q * self.count))
        below, low = 0, 0
        for edge, count in zip(self.edges, self.counts, strict=False):
            if below + count >= rank:
                return low + (edge - low) * (rank - below) / count
            below += count
            low = edge
        return float(low) if below < self.count else 0.0

    def merge(self, other: Histogram) -> None:
        """Add the observations of `other`: the same as having observed them here.

        Raises: ValueError: the edges differ.
        """
        if other.edges != self.edges:
            raise ValueError(f"cannot merge different edges: {self.edges!r} and {other.edges!r}")
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum
