"""How many requests a gate needs before it can pass: the core of `takt loadtest plan`."""

from __future__ import annotations

import msgspec

from loadtest.errors import ScenarioError
from loadtest.gate.expression import Condition, claimed_share, parse, show
from loadtest.scenario.spec import GateSpec
from loadtest.statistics.early_stopping import allowed, fixed_n, in_blocks, needed

MISSES = (0, 1, 2, 5, 10, 20, 50, 100)
_SECONDS_A_MINUTE = 60


class SizeRow(msgspec.Struct, frozen=True, kw_only=True):
    """With so many misses a gate passes after so many independent requests."""

    misses: int
    requests: int
    minutes: float


class SampleSize(msgspec.Struct, frozen=True, kw_only=True):
    """What a condition needs. `fixed`: after which its share is known to a twentieth of 1 - share, whatever it is."""

    gate: str
    share: float
    confidence: float
    rate: float
    rows: tuple[SizeRow, ...]
    fixed: int
    fixed_rounded: int
    fixed_minutes: float


def needed_table(gate: GateSpec, rate: float) -> tuple[SampleSize, ...]:
    """A table for each condition of a gate.

    Args: rate: requests per second.
    Raises: ScenarioError: the expression or the rate cannot be, or no number of requests bears on a condition.
    """
    if not rate > 0:
        raise ScenarioError(f"rate {rate:g}: must be above 0 requests per second")
    return tuple(_table(condition, gate.confidence, rate) for condition in parse(gate.expr))


def allowed_misses(gate: GateSpec, requests: int) -> tuple[int | None, ...]:
    """With how many misses each condition of a gate still passes; None: not even with none.

    Raises: ScenarioError: the expression cannot be, or no number of requests bears on a condition.
    """
    return tuple(allowed(requests, _share(condition), gate.confidence) for condition in parse(gate.expr))


def _table(condition: Condition, confidence: float, rate: float) -> SampleSize:
    share, per_minute = _share(condition), rate * _SECONDS_A_MINUTE
    requests = [(each, needed(each, share, confidence)) for each in MISSES]
    fixed = fixed_n(share, confidence)
    return SampleSize(
        gate=show(condition),
        share=share,
        confidence=confidence,
        rate=rate,
        rows=tuple(SizeRow(misses=m, requests=n, minutes=n / per_minute) for m, n in requests if n is not None),
        fixed=fixed,
        fixed_rounded=in_blocks(fixed),
        fixed_minutes=in_blocks(fixed) / per_minute,
    )


def _share(condition: Condition) -> float:
    share = claimed_share(condition)
    if share is None:
        raise ScenarioError(
            f"{show(condition)}: is judged as measured, whatever the number of requests; "
            "plan a share or a percentile, such as p99 <= 50ms"
        )
    return share
