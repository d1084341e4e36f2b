"""What model rungs cost, from their runs on the executor, each counted once, and from the answers of inline ones."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from router.audit.spread import Spread, micros

if TYPE_CHECKING:
    from router.domain.decision import RunFacts
    from router.log import DecisionRecord

_NS_PER_MS = 1_000_000
_MOST_RUNS = 4_096


@dataclass(slots=True)
class RungTally:
    """A model rung. `run` is how long a call took, of however many texts.

    Counted a request: kept_back, wait, wait_predicted, predicted (of texts alone). Counted a run, however many requests
    and texts it was for: judged, covered; and of those that a record saw the end of: run, ended, texts, busy_us.
    """

    run: Spread = field(default_factory=Spread)
    predicted: Spread = field(default_factory=Spread)
    kept_back: Spread = field(default_factory=Spread)
    wait: Spread = field(default_factory=Spread)
    wait_predicted: Spread = field(default_factory=Spread)
    judged: int = 0
    covered: int = 0
    ended: int = 0
    texts: int = 0
    busy_us: float = 0.0

    def add_queued(self, record: DecisionRecord, run: RunFacts) -> None:
        """A request that was given to the executor."""
        self.kept_back.add(micros(record.total_ms - run.commit_ms))
        self.wait_predicted.add(micros(run.wait_ms))
        if run.texts == 1:
            self.predicted.add(micros(run.predicted_ms))
        if run.start_ms is not None:
            self.wait.add(micros(run.start_ms - run.queued_ms))

    def add_end(self, run: RunFacts, took_ms: float) -> None:
        """A run of which the end is known."""
        self.run.add(micros(took_ms))
        self.busy_us += 1_000 * took_ms
        self.ended += 1
        self.texts += run.texts


@dataclass(slots=True)
class _Told:
    """What earlier records told of a run."""

    ran_ms: float = 0.0
    is_judged: bool = False
    has_ended: bool = False


class Runs:
    """Tells runs apart by when they began: the texts of a batch, and requests for equal texts, share one.

    Remembers the last 4,096: the records of one run stand close together in a log.
    """

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: OrderedDict[int, _Told] = OrderedDict()

    def add(self, record: DecisionRecord, run: RunFacts, model: RungTally) -> float:
        """Count a request whose run was started. Returns: ms of the executor that no record told of before."""
        model.add_queued(record, run)
        start_ms = run.start_ms or 0.0
        told = self._told.setdefault(record.began_ns + round(start_ms * _NS_PER_MS), _Told())
        if len(self._told) > _MOST_RUNS:
            self._told.popitem(last=False)
        ran_ms = (record.elapsed_ms if run.end_ms is None else run.end_ms) - start_ms
        is_over = ran_ms > run.predicted_ms
        if not told.is_judged and (run.end_ms is not None or is_over):  # one that still ran may be over already
            told.is_judged = True
            model.judged += 1
            model.covered += not is_over
        if not told.has_ended and run.end_ms is not None:
            told.has_ended = True
            model.add_end(run, ran_ms)
        more_ms = max(0.0, ran_ms - told.ran_ms)
        told.ran_ms += more_ms
        return more_ms
