"""A crowd that flashes: the rate jumps between two values at random times, and arrivals are Poisson in between."""

from __future__ import annotations

import numpy as np

from loadtest.arrival.shape import Pieces, pieces
from loadtest.errors import ScenarioError

_MOST_JUMPS = 1_000_000


def expected(rates: tuple[float, float], means_s: tuple[float, float], for_s: float) -> float:
    """Arrivals, averaged over all paths."""
    return for_s * (rates[0] * means_s[0] + rates[1] * means_s[1]) / sum(means_s)


def path(rates: tuple[float, float], means_s: tuple[float, float], for_s: float, rng: np.random.Generator) -> Pieces:
    """Draw when it jumps: the rate as steps, low and high in turn.

    Stationary: it begins in either state as often as it is in it, so the mean rate holds from the first second on.
    Raises: ScenarioError: it would jump more than a million times.
    """
    if 2 * for_s / sum(means_s) > _MOST_JUMPS:
        raise ScenarioError(
            f"mean_low and mean_high are so short that the rate would jump more than {_MOST_JUMPS} times"
        )
    first = int(rng.random() * sum(means_s) >= means_s[0])  # 1: begins high
    in_turn = np.array((means_s[first], means_s[1 - first]))
    ends_s = np.zeros(1)
    while ends_s[-1] < for_s:
        rounds = int((for_s - ends_s[-1]) / sum(means_s)) + 16
        stays_s = rng.standard_exponential((rounds, 2)) * in_turn
        ends_s = np.concatenate((ends_s, ends_s[-1] + np.cumsum(stays_s)))
    ends_s = np.append(ends_s[: np.searchsorted(ends_s, for_s)], for_s)
    lengths_s = np.diff(ends_s)
    in_state = np.where(np.arange(len(lengths_s)) % 2 == 0, rates[first], rates[1 - first])
    return pieces(lengths_s, np.stack((in_state, in_state), axis=1))
