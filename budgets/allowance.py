"""Two allowances: of executor time, and of turning critical requests away.

Executor time has a price, or early arrivals would spend the large rung and the critical ones that come later miss it.
Turning away has a bound, so that a control that errs, or a loop that is lost anyway, does not shut the door.
"""

from __future__ import annotations

from collections import deque

_CAPACITY_NS = 1_000_000_000
# By rank: what must be left in the bucket, as a share of it, for the class to draw (trunk reservation). The shares
# rise with the rank, so what is kept back is never kept from the more critical.
_RESERVE = (0.0, 0.1, 0.3, 0.5)


class Allowance:
    """A token bucket of executor time. All O(1)."""

    __slots__ = ("_left_ns", "_refill_share", "_seen_ns", "drawn_ns")

    def __init__(self, refill_share: float) -> None:
        """Args: refill_share: the executor time granted per time that passes."""
        self._refill_share = refill_share
        self._left_ns = float(_CAPACITY_NS)
        self._seen_ns: int | None = None
        self.drawn_ns = 0  # in all, what was refunded taken off

    @property
    def share(self) -> float:
        """What is left, 0 to 1, as of the last draw."""
        return max(self._left_ns, 0.0) / _CAPACITY_NS

    def draw(self, rank: int, cost_ns: int, in_line: int, now_ns: int) -> bool:
        """Take the cost out if the class may have it.

        An executor with nothing to do is for anybody: its time can't be saved, so that is never owed. What a job
        costs does not decide, or a dear critical one would be refused where a cheap sheddable one is not; so one who
        waits may take more than is left, and nobody else may wait until that is made good.
        """
        if self._seen_ns is not None and now_ns > self._seen_ns:
            self._add((now_ns - self._seen_ns) * self._refill_share)
        self._seen_ns = now_ns if self._seen_ns is None else max(now_ns, self._seen_ns)
        if in_line > 0 and self._left_ns <= _RESERVE[rank] * _CAPACITY_NS:
            return False
        left_ns = self._left_ns - cost_ns
        self._left_ns = left_ns if in_line > 0 else max(left_ns, min(self._left_ns, 0.0))
        self.drawn_ns += cost_ns
        return True

    def take(self, cost_ns: int) -> None:
        """A job joins without leave, for which a full bucket is owed at most."""
        self._left_ns = max(self._left_ns - cost_ns, -_CAPACITY_NS)
        self.drawn_ns += cost_ns

    def refund(self, cost_ns: int) -> None:
        """A job that had drawn was never started."""
        self._add(cost_ns)
        self.drawn_ns -= cost_ns

    def _add(self, ns: float) -> None:
        self._left_ns = min(self._left_ns + ns, _CAPACITY_NS)


_BUCKET_NS, _BUCKETS = 1_000_000_000, 10


class Rejections:
    """How many critical arrivals were turned away in the last ten seconds, in buckets of one."""

    __slots__ = ("_buckets", "_max_share", "_until_ns")

    def __init__(self, max_share: float) -> None:
        self._max_share = max_share
        self._buckets: deque[list[int]] = deque([[0, 0]], maxlen=_BUCKETS)  # arrived, rejected
        self._until_ns = 0

    def count(self, arrived: int, rejected: int, now_ns: int) -> None:
        """Book what happened since the last call to the second of `now_ns`."""
        if now_ns >= self._until_ns:
            seconds = (now_ns - self._until_ns) // _BUCKET_NS + 1
            self._buckets.extend([0, 0] for _ in range(min(seconds, _BUCKETS)))
            self._until_ns += seconds * _BUCKET_NS
        bucket = self._buckets[-1]
        bucket[0] += arrived
        bucket[1] += rejected

    def next_share(self, expected: int) -> float:
        """The share of the next `expected` arrivals that may be turned away, 0 to 1."""
        arrived = sum(bucket[0] for bucket in self._buckets)
        rejected = sum(bucket[1] for bucket in self._buckets)
        room = self._max_share * (arrived + expected) - rejected
        return min(max(room / max(expected, 1), 0.0), 1.0)
