"""Which answers are asked for again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadtest.sample import DEGRADED, RUNGS

if TYPE_CHECKING:
    from loadtest.view import View

_FULL = (DEGRADED.index(""), DEGRADED.index("none"))


def is_degraded(seen: View) -> np.ndarray:
    """Answered, in time or not, by less than the best rung. A guard's answer, or a fresh cached one, is not. bool."""
    degraded: np.ndarray = seen.is_answered & ~np.isin(seen.sample["degraded"], _FULL)
    return degraded


def choose(seen: View, most_per_rung: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of the run, at most so many of each rung: each degraded answer of it is as likely as another. int64.

    In the order of chance, so that the first of them stand for all, should there be no time for the others.
    """
    degraded = is_degraded(seen)
    chosen = [np.empty(0, np.int64)]
    for rung in range(len(RUNGS)):
        rows = seen.row[degraded & (seen.sample["rung"] == rung)]
        chosen.append(rng.choice(rows, min(most_per_rung, len(rows)), replace=False))
    return rng.permutation(np.concatenate(chosen))
