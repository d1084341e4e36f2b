"""Is the last of many runs an excursion, or the noise that they always had? For machines that vary from run to run.

Two in a row outside the band of those before them: one alone happens by chance, on shared machines often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

TRAILING = 20  # runs that make the band, at most
FEWEST = 5  # and at least, beside the two that are judged
_WIDTH = 2.0  # median absolute deviations to either side


class Excursion(msgspec.Struct, frozen=True, kw_only=True):
    """The last value beside the band of the earlier ones. low, high: None, there are too few of them."""

    name: str
    last: float
    median: float | None
    low: float | None
    high: float | None
    verdict: Literal["better", "worse", "equal", "inconclusive"]


def excursion(name: str, values: Sequence[float], *, better: Literal["lower", "higher"], least: float) -> Excursion:
    """Judge the last two of `values`, the oldest first.

    Args: least: half the band is never narrower, so that runs which are all alike don't make everything an excursion.
    """
    if len(values) < FEWEST + 2:
        return Excursion(name=name, last=values[-1], median=None, low=None, high=None, verdict="inconclusive")
    before = np.array(values[-TRAILING - 2 : -2], np.float64)
    median = float(np.median(before))
    if not np.isfinite(median):
        return Excursion(name=name, last=values[-1], median=median, low=None, high=None, verdict="inconclusive")
    reach = max(least, _WIDTH * float(np.median(np.abs(before - median))))
    low, high = median - reach, median + reach
    if all(value > high for value in values[-2:]):
        verdict = "worse" if better == "lower" else "better"
    elif all(value < low for value in values[-2:]):
        verdict = "better" if better == "lower" else "worse"
    else:
        verdict = "equal"
    return Excursion(name=name, last=values[-1], median=median, low=low, high=high, verdict=verdict)  # type: ignore[arg-type] # one of them
