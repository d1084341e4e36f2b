"""Pairs as one would take them one after the other: what the best matching is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from router.desk.solve import ranked

if TYPE_CHECKING:
    from router.desk.solve import Matched, Problem


def solve_greedily(problem: Problem) -> Matched:
    """The best one of those that are left, again and again."""
    values = np.where(problem.allowed, ranked(problem), -np.inf)
    pairs: Matched = []
    for _ in range(min(values.shape)):
        i, j = np.unravel_index(int(values.argmax()), values.shape)
        if values[i, j] == -np.inf:
            break
        pairs.append((int(i), int(j)))
        values[i, :] = values[:, j] = -np.inf
    return sorted(pairs)
