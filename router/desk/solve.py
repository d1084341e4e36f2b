"""Which tasks meet which resources, all at once: the best sum over pairs, by the Hungarian method. Pure.

    value of a pair = score + urgency_share * urgency + fairness_share * idleness

Three things come before it, in this order: as many tasks as possible are taken; none is left out in favour of one that
is younger by more than the age guard allows; and a pair that is not allowed never is made.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_MOST = 1e100
"""Scores are less than this: differences and sums of them are finite."""
Matched = list[tuple[int, int]]
"""Pairs of indices (task, resource), by task."""


class Problem(NamedTuple):
    """Tasks and resources that wait for each other."""

    scores: NDArray[np.float64]
    """[tasks, resources]: the higher the better; what is no number, or beyond all reason, counts as 0."""
    allowed: NDArray[np.bool_]
    """[tasks, resources]: whether the resource may be asked for the task."""
    urgency_s: NDArray[np.float64]
    """[tasks]: as the queue orders them."""
    age_s: NDArray[np.float64]
    """[tasks]: by this the age guard goes; seconds of waiting, and what its priority is worth in those."""
    idle_s: NDArray[np.float64]
    """[resources]: for how long it has been idle."""
    urgency_share: float = 0.0
    fairness_share: float = 0.0
    max_overtake_s: float = np.inf


@cache
def load() -> Callable[..., Any]:
    """The solver. Its library takes half a second to import, so that is done when a queue needs it, and in a thread."""
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - see above

    solver: Callable[..., Any] = linear_sum_assignment
    return solver


def solve(problem: Problem) -> Matched:
    """The best matching.

    Cost: 0.01 ms at 10 x 10, 0.1 ms at 50 x 50, 2 to 8 ms at 200 x 200, which the solver spends without the
    interpreter lock. Safety: any thread.
    """
    if not problem.allowed.any():
        return []
    values = np.where(problem.allowed, ranked(problem), 0.0)
    tasks, resources = load()(values, maximize=True)
    return [(int(i), int(j)) for i, j in zip(tasks, resources, strict=True) if problem.allowed[i, j]]


def value_of(problem: Problem) -> NDArray[np.float64]:
    """[tasks, resources]: what each pair is worth."""
    scores = np.where(np.abs(problem.scores) < _MOST, problem.scores, 0.0)
    urgency = problem.urgency_share * _share(problem.urgency_s)
    idleness = problem.fairness_share * _share(problem.idle_s)
    value: NDArray[np.float64] = scores + urgency[:, None] + idleness[None, :]
    return value


def age_class(age_s: NDArray[np.float64], max_overtake_s: float) -> NDArray[np.int64]:
    """[tasks]: 0 for the youngest; in a class nobody is older than another by more than `max_overtake_s`.

    Classes begin at the oldest. An older class goes first: that keeps the guard between any two tasks, and is stricter
    than it where two of neighbouring classes are closer to each other.
    """
    classes = np.zeros(len(age_s), np.int64)
    oldest_s, number = np.inf, 0
    for at in np.argsort(-age_s, kind="stable"):
        if oldest_s - age_s[at] > max_overtake_s:
            oldest_s, number = age_s[at], number + 1
        classes[at] = number
    return number - classes


def _share(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 for the least of those that are matched now, 1 for the most, in proportion between; all equal: 0."""
    least = seconds.min(initial=np.inf)
    width = seconds.max(initial=-np.inf) - least
    return (seconds - least) / width if width > 0 else np.zeros(len(seconds))


def ranked(problem: Problem) -> NDArray[np.float64]:
    """Values, raised so that each of them outweighs all that comes after it in the order that the module names.

    One pair's values differ by at most 1, so a whole matching's by `most`. A class of age is worth more than that, and
    to be matched at all more than all classes together. At 200 x 200 that is 8e6: doubles keep 1e-8 of a value's range.
    """
    value = value_of(problem)
    allowed = value[problem.allowed]
    least = allowed.min(initial=np.inf)
    width = allowed.max(initial=-np.inf) - least
    value = (np.where(problem.allowed, value, least) - least) / width if width > 0 else np.zeros_like(value)
    most = min(value.shape) + 1
    classes = age_class(problem.age_s, problem.max_overtake_s)
    raised: NDArray[np.float64] = value + most * classes[:, None] + most * most * (classes.max(initial=0) + 1)
    return raised
