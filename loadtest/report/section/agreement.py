"""How good the answers were: degraded ones against the reference at zero load, and all against known labels."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np

from loadtest.quality.agreement import Estimate, accuracy, agreement, regret
from loadtest.report.section.ladder import is_full, tells_rungs
from loadtest.report.section.part import Part, share_of
from loadtest.run import Run
from loadtest.sample import REASONS, RUNGS
from loadtest.view import View

_MOST_PAIRS = 10


class Share(Part, frozen=True, kw_only=True):
    """A share with its 95 % interval, from `n` answers that were looked at."""

    value: float
    low: float
    high: float
    n: int


class RungQuality(Part, frozen=True, kw_only=True):
    """Of a rung's 200s; null: nothing tells.

    `agreement`: of its degraded answers with the reference's. `accuracy`: with the label, where there is one.
    `regret`: how much more often the reference is right. `unsure`: handed to the unsure route.
    """

    rung: str
    answers: int
    degraded: int
    in_time: int
    degraded_in_time: int
    agreement: Share | None
    accuracy: Share | None
    regret: Share | None
    unsure_share: float


class Pair(Part, frozen=True, kw_only=True):
    """Degraded answers that said `answered` where the label, or the reference, says `expected`."""

    by: Literal["reference", "label"]
    expected: str
    answered: str
    requests: int


class Quality(Part, frozen=True, kw_only=True):
    """`degraded`: agreement of degraded answers, rungs weighed as in the run; `answers`: of all answers.

    `adjusted_goodput_per_s`: in-time answers a second, degraded ones weighed with their rung's agreement; null: nobody
    knows, as a rung's degraded answers were not repeated, or no answer says of which rung it is. `without_reference`:
    repeats that tell nothing.
    """

    rungs: tuple[RungQuality, ...]
    degraded: Share | None
    answers: Share | None
    adjusted_goodput_per_s: float | None
    without_reference: int
    pairs: tuple[Pair, ...]


def tell_quality(run: Run, measured: View, seconds: float) -> Quality:
    repeats = run.record.repeats
    agreed = agreement(measured, repeats)
    right, sorry = accuracy(measured, run.payloads), regret(measured, run.payloads, repeats)
    rungs = tuple(
        _rung(measured, number, agreed.rungs.get(name), right.get(name), sorry.get(name))
        for number, name in enumerate(RUNGS)
        if (measured.is_answered & (measured.sample["rung"] == number)).any()
    )
    return Quality(
        rungs=rungs,
        degraded=_share(agreed.degraded),
        answers=_share(agreed.answers) if agreed.degraded.count else None,
        adjusted_goodput_per_s=_adjusted(rungs, seconds) if tells_rungs(measured) else None,
        without_reference=sum(each.same is None for each in repeats),
        pairs=_pairs(run, measured),
    )


def _rung(
    view: View, number: int, agreed: Estimate | None, right: Estimate | None, sorry: Estimate | None
) -> RungQuality:
    mask = view.is_answered & (view.sample["rung"] == number)
    degraded, in_time = mask & ~is_full(view), mask & view.met()
    return RungQuality(
        rung=RUNGS[number] or "not told",
        answers=int(mask.sum()),
        degraded=int(degraded.sum()),
        in_time=int(in_time.sum()),
        degraded_in_time=int((in_time & degraded).sum()),
        agreement=_share(agreed),
        accuracy=_share(right),
        regret=_share(sorry),
        unsure_share=float((view.sample["reason"][mask] == REASONS.index("unsure")).mean()),
    )


def _share(estimate: Estimate | None) -> Share | None:
    if estimate is None or not estimate.count:
        return None
    return Share(value=estimate.value, low=estimate.low, high=estimate.high, n=estimate.count)


def _adjusted(rungs: tuple[RungQuality, ...], seconds: float) -> float | None:
    good = 0.0
    for each in rungs:
        good += each.in_time - each.degraded_in_time
        if each.degraded_in_time:
            if each.agreement is None:
                return None
            good += each.degraded_in_time * each.agreement.value
    return share_of(good, seconds)


def _pairs(run: Run, view: View) -> tuple[Pair, ...]:
    """The most frequent of each kind."""
    degraded = np.flatnonzero(view.is_answered & ~is_full(view))
    routes = (*run.record.routes, "(none)")  # NEVER is its index
    payloads = view.planned["payload"][degraded].tolist()
    answers = view.sample["route"][degraded].tolist()
    by_label = Counter(
        (label, routes[answer])
        for payload, answer in zip(payloads, answers, strict=True)
        if (label := run.payloads[payload].label) is not None and label != routes[answer]
    )
    by_reference = Counter((each.reference, each.route) for each in run.record.repeats if each.same is False)
    kinds: tuple[tuple[Literal["reference", "label"], Counter[tuple[str, str]]], ...]
    kinds = (("reference", by_reference), ("label", by_label))
    return tuple(
        Pair(by=by, expected=expected, answered=answered, requests=requests)
        for by, found in kinds
        for (expected, answered), requests in found.most_common(_MOST_PAIRS)
    )
