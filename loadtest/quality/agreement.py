"""What degraded answers were worth: how often the reference says the same, and how often who is right. Pure.

A few answers of each rung stand for all of that rung: the estimates are weighted back to the mix of the run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from loadtest.quality.choose import is_degraded
from loadtest.sample import RUNGS
from loadtest.statistics.interval import wilson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loadtest.payload import Payload
    from loadtest.run import Repeat
    from loadtest.view import View

# Of so many hits, among so many, at a confidence: between which shares the truth is.
Limits = Callable[[float, float, float], tuple[float, float]]
_NO_LABEL = -2


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share and the interval that it lies in. `count` were looked at, for `total` answers. NaN: nothing was."""

    value: float
    low: float
    high: float
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Shares of answers that are what the reference would have answered."""

    rungs: dict[str, Estimate]  # of the degraded answers of each rung
    degraded: Estimate  # of all degraded answers
    answers: Estimate  # of all answers; one that is not degraded is the reference's


def agreement(seen: View, repeats: Iterable[Repeat], confidence: float = 0.95, limits: Limits = wilson) -> Agreement:
    """Agreement of the answers in `seen`, of whose repeats those without a reference are left out."""
    inside = set(seen.row.tolist())
    found = [each for each in repeats if each.same is not None and each.row in inside]
    tried, same = Counter(each.rung for each in found), Counter(each.rung for each in found if each.same)
    totals = np.bincount(seen.sample["rung"][is_degraded(seen)], minlength=len(RUNGS))
    rungs = {
        rung: _share(same[rung], tried[rung], int(total), limits(same[rung], tried[rung], confidence))
        for rung, total in zip(RUNGS, totals, strict=True)
        if total
    }
    answers_total = int(seen.is_answered.sum())
    full_total = answers_total - sum(each.total for each in rungs.values())
    full = Estimate(1.0, 1.0, 1.0, full_total, full_total)
    return Agreement(rungs, _weighted(list(rungs.values())), _weighted([full, *rungs.values()]))


def accuracy(seen: View, payloads: Sequence[Payload], confidence: float = 0.95) -> dict[str, Estimate]:
    """Of the answers of each rung whose right route is known, the share that has it."""
    right, labelled = is_right(seen, payloads)
    rung = seen.sample["rung"]
    found = {}
    for at, name in enumerate(RUNGS):
        mine = labelled & (rung == at)
        if count := int(mine.sum()):
            hits = int(right[mine].sum())
            found[name] = _share(hits, count, count, wilson(hits, count, confidence))
    return found


def regret(
    seen: View, payloads: Sequence[Payload], repeats: Iterable[Repeat], confidence: float = 0.95
) -> dict[str, Estimate]:
    """How much more often, of each rung, the reference was right than the answer given. -1..1.

    The interval is that of Agresti and Min (2005) for a difference of paired shares: half a count more in each cell.
    """
    position = {row: at for at, row in enumerate(seen.row.tolist())}
    right, labelled = is_right(seen, payloads)
    pairs: dict[str, list[int]] = {}
    for each in repeats:
        at = position.get(each.row)
        if at is None or each.same is None or not labelled[at]:
            continue
        label = payloads[int(seen.planned["payload"][at])].label
        pairs.setdefault(each.rung, []).append(int(each.reference == label) - int(right[at]))
    return {rung: _difference(differences, confidence) for rung, differences in pairs.items()}


def is_right(seen: View, payloads: Sequence[Payload]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each answer is right, and whether that can be said: it was read, and has a label. bool, one a request."""
    numbers = {name: number for number, name in enumerate(seen.record.routes)}
    # A label that no answer has ever had is wrong in all of them.
    expected = np.array(
        [_NO_LABEL if each.label is None else numbers.get(each.label, len(numbers)) for each in payloads]
    )
    wanted = expected[seen.planned["payload"]]
    known = seen.is_answered & (seen.sample["rung"] != 0) & (wanted != _NO_LABEL)
    return seen.sample["route"] == wanted, known


def _share(hits: int, count: int, total: int, interval: tuple[float, float]) -> Estimate:
    return Estimate(hits / count, *interval, count, total) if count else Estimate(math.nan, 0.0, 1.0, 0, total)


def _weighted(strata: list[Estimate]) -> Estimate:
    """One share out of those of its parts (MOVER: Zou and Donner 2008).

    Of a part that nothing is known of, the value is left out, and the interval holds whatever it may be.
    """
    total, count = sum(each.total for each in strata), sum(each.count for each in strata)
    known = [each for each in strata if each.count]
    known_total = sum(each.total for each in known)
    if not known_total:
        return Estimate(math.nan, 0.0, 1.0, 0, total)
    value = sum(each.total * each.value for each in known) / known_total
    below = math.hypot(*(each.total * (each.value - each.low) for each in known)) / known_total
    above = math.hypot(*(each.total * (each.high - each.value) for each in known)) / known_total
    share = known_total / total
    return Estimate(value, max(0.0, value - below) * share, min(1.0, value + above) * share + 1 - share, count, total)


def _difference(differences: list[int], confidence: float) -> Estimate:
    count = len(differences)
    better, worse = differences.count(1) + 0.5, differences.count(-1) + 0.5
    middle = (better - worse) / (count + 2)
    spread = math.sqrt(better + worse - (better - worse) ** 2 / (count + 2)) / (count + 2)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * spread
    return Estimate(sum(differences) / count, max(-1.0, middle - reach), min(1.0, middle + reach), count, count)
