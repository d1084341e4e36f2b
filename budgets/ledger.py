"""Stage accounting: every nanosecond between a request's start and its answer belongs to one stage.

`mark(stage, now_ns)` books the time since the last mark to that stage, so the stages sum to `elapsed_ns` exactly,
by construction, and a stage that is never marked costs nothing.
"""

from __future__ import annotations

from enum import IntEnum


class Stage(IntEnum):
    """Where time can go, in the order of the path. One list everywhere: ledger, headers, metrics, spans, docs."""

    PARSE = 0  # reading and decoding the request
    ADMIT = 1  # hard bounds, deadline check
    FLOOR = 2  # guards, fallback rules and the default: the answer that is held from here on
    CONTEXT = 3  # session state, profile
    CACHE = 4  # looking the decision up
    QUEUE = 5  # waiting for the executor
    INFER = 6  # features and model
    POLICY = 7  # thresholds, choosing among actions, the record
    ASSIGN = 8  # finding an agent
    ENCODE = 9  # building and encoding the answer
    LOOP = 10  # ready to run, but the event loop was busy


STAGES: tuple[str, ...] = tuple(stage.name.lower() for stage in Stage)


class Ledger:
    """Time stamps of one request. Not thread safe; one event loop owns it."""

    __slots__ = ("_last_ns", "stages_ns", "start_ns")

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self._last_ns = start_ns
        self.stages_ns: list[int] = [0] * len(STAGES)

    def mark(self, stage: Stage, now_ns: int) -> None:
        """Book the time since the last mark to `stage`. A stamp from before the last mark books nothing."""
        spent_ns = now_ns - self._last_ns
        if spent_ns > 0:
            self.stages_ns[stage] += spent_ns
            self._last_ns = now_ns

    @property
    def elapsed_ns(self) -> int:
        """Time from the start to the last mark; equals `sum(stages_ns)`."""
        return self._last_ns - self.start_ns

    def stages_ms(self) -> dict[str, float]:
        """Milliseconds by stage, only the stages that were entered, rounded to a microsecond."""
        return {name: (ns + 500) // 1_000 / 1_000 for name, ns in zip(STAGES, self.stages_ns, strict=True) if ns}
