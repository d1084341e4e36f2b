"""How many independent requests a run's clustered ones are worth.

Queues make misses come in bursts, and a burst proves little more than one miss does. How much the counts of misses in
blocks of consecutive requests scatter, against how much independent ones would, tells by how much too many requests
are counted: the design effect.

Where it holds: at the true boundary of a claim `p`, false passes at 99 % stay below 2 % if a run of this length has at
least 6 bursts to expect, n (1-p) / design effect >= 6 (tests/simulation/test_false_passes.py: at most 1.2 % of 10,000
runs; a third of them without this module). At 4 bursts it is 2.3 %, and with fewer nothing in a run tells of its
bursts, least of all a run without a single miss: what is proven of it is proven of independent requests alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FEWEST_BLOCKS, _MOST_BLOCKS = 16, 1024
_FEWEST_IN_BLOCK = 4
# Twice as long blocks scatter this much more: bursts are as long as blocks. Independent ones reach it in 1 % of runs.
_RISING, _LOW = 1.75, 3.0


@dataclass(frozen=True, slots=True)
class Effective:
    """`n`: independent requests that prove as much. `is_known`: False: too few blocks, `n` may well be too high."""

    n: float
    is_known: bool


def effective(misses: np.ndarray) -> Effective:
    """Batch means at every block length from n/1024 to n/16, of which the most pessimistic counts.

    Args: misses: one entry a request in the order of time, 0 or 1. Its two values are treated alike.
    Source: blocking, Flyvbjerg and Petersen 1989; effective counts, Korn and Graubard 1998. That few bursts
    make the estimate too low as often as too high is made up for by 2 / sqrt(bursts), found by simulation.
    """
    n, count = len(misses), int(np.count_nonzero(misses))
    if count in {0, n}:
        return Effective(float(n), is_known=True)
    effects = _design_effects(misses, count / n)
    if not effects:
        return Effective(float(n), is_known=False)
    effect = max(1.0, *effects)
    bursts = min(count, n - count) / effect
    corrected = 1 + (effect - 1) * (1 + 2 / bursts**0.5)
    is_rising = len(effects) > 1 and effects[-1] > _LOW and effects[-1] > _RISING * effects[-2]
    return Effective(max(1.0, n / corrected), is_known=not is_rising)


def _design_effects(misses: np.ndarray, share: float) -> list[float]:
    """Variance of blocks' counts over that in random order, 1 of one miss; from the most blocks to the fewest."""
    n, blocks = len(misses), _MOST_BLOCKS
    shuffled = share * (1 - share) * n / (n - 1)
    while blocks * _FEWEST_IN_BLOCK > n:
        blocks //= 2
    effects: list[float] = []
    if blocks < _FEWEST_BLOCKS:
        return effects
    counts = np.add.reduceat(misses, np.arange(blocks) * n // blocks, dtype=np.int64)
    while blocks >= _FEWEST_BLOCKS:
        effects.append(float(counts.var(ddof=1)) / (n / blocks * shuffled))
        counts, blocks = counts.reshape(-1, 2).sum(axis=1), blocks // 2
    return effects
