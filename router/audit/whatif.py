"""What a change would have done for the late and degraded requests, computed from their records, most helpful first.

Each takes everything else as it was; where that is wrong is said beside the number.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from router.audit.bottleneck import KEPT_US, Cost, cost_of
from router.audit.cause import Cause
from router.audit.finding import WhatIf
from router.audit.window import USABLE_SHARE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.audit.tally import Shortfall, Tally

_HALF, _MOST = 0.5, 0.9
_TEXTS_KEPT_SHARE = 0.5


def what_ifs(tally: Tally, causes: dict[Cause, int]) -> tuple[WhatIf, ...]:
    """Every change that these records allow to compute; nothing where there is nothing to mend."""
    if not causes:
        return ()
    found = [*_rungs(tally), *_executor(tally), *_loop(tally), *_cache(tally, sum(causes.values()))]
    return tuple(sorted(found, key=lambda each: -each.helped_total))


def _rungs(tally: Tally) -> Iterator[WhatIf]:
    """For the rung that most answers lack: more time for it, or one that takes less."""
    if not tally.shortfalls:
        return
    rung, shortfall = max(tally.shortfalls.items(), key=lambda item: item[1].spare.n + item[1].queued)
    cost = cost_of(tally, rung)
    if cost is None:
        if shortfall.spare.n:
            yield _unknown(rung, shortfall)
        return
    if shortfall.spare.n:
        yield _larger_budget(rung, shortfall, cost)
    cheaper = [name for name in tally.models if tally.models[name].run.quantile(0.5) < cost.usual_us]
    if cheaper:
        below = max(cheaper, key=lambda name: tally.models[name].run.quantile(0.5))
        below_cost = cost_of(tally, below)
        if below_cost is not None:
            yield _smaller_rung(tally, (rung, cost), (below, below_cost), shortfall)


def _unknown(rung: str, shortfall: Shortfall) -> WhatIf:
    had_ms = shortfall.spare.quantile(1 - _MOST) / 1_000
    return WhatIf(
        change="a larger budget, or a smaller rung",
        helped_total=0,
        sentence=(
            f"unknown, because `{rung}` never ran in these records; takt_rung_cost_seconds says what it is expected to"
            f" cost, and nine of ten had {had_ms:.1f} ms or more for it"
        ),
        assumes="",
        evidence={"spare_p10_ms": had_ms},
    )


def _larger_budget(rung: str, shortfall: Shortfall, cost: Cost) -> WhatIf:
    spare, needed_ms = shortfall.spare, cost.needed_us / 1_000
    added_ms = {q: max(0, ceil((cost.needed_us - spare.quantile(1 - q)) / 1_000)) for q in (_HALF, _MOST)}
    helped = spare.at_least(cost.needed_us - 1_000 * added_ms[_MOST])
    if not added_ms[_MOST]:
        sentence = f"no, nine of ten without `{rung}` for their budget had the {needed_ms:.1f} ms that it usually needs"
        helped = 0
    else:
        half = spare.at_least(cost.needed_us - 1_000 * added_ms[_HALF])
        sooner = f", {half:,} with +{added_ms[_HALF]} ms" if 0 < added_ms[_HALF] < added_ms[_MOST] else ""
        sentence = (
            f"{helped:,} of {spare.n:,} answers whose budget was too small would have had time for `{rung}` with"
            f" +{added_ms[_MOST]} ms{sooner}"
        )
    return WhatIf(
        change="a larger budget",
        helped_total=helped,
        sentence=sentence,
        assumes=f"`{rung}` needs {needed_ms:.1f} ms: its usual prediction (p99), and what is kept back for the way out",
        evidence={
            "degraded_budget_total": float(spare.n),
            "needed_ms": needed_ms,
            "added_half_ms": float(added_ms[_HALF]),
            "added_most_ms": float(added_ms[_MOST]),
        },
    )


def _smaller_rung(tally: Tally, best: tuple[str, Cost], below: tuple[str, Cost], shortfall: Shortfall) -> WhatIf:
    """The best rung at the price of one below it, for those that lack it and for those that ran it."""
    (rung, cost), (lower, lower_cost) = best, below
    fits = shortfall.spare.at_least(lower_cost.predicted_us + cost.kept_us)
    unqueued = tally.windows.answerable(
        executors=1, cost_us=lower_cost.usual_us, cheaper=lower_cost.usual_us / cost.usual_us
    )
    lacking = shortfall.spare.n + shortfall.queued
    most_us = max(0.0, shortfall.spare.quantile(1 - _MOST) - cost.kept_us)
    target = ""
    if shortfall.spare.n > shortfall.queued and most_us < cost.predicted_us:
        no_more = f"at {most_us / 1_000:.1f} ms (p99) it would" if most_us else "even at no cost it would not"
        target = f"; {no_more} have fitted nine of ten budgets"
    return WhatIf(
        change="a smaller rung",
        helped_total=fits + unqueued,
        sentence=(
            f"with `{rung}` as quick as `{lower}` ({_ms(cost.usual_us)} -> {_ms(lower_cost.usual_us)}, p50),"
            f" {fits:,} would have fitted their budget and {unqueued:,} not have met a queue{target};"
            f" a smaller model answered {shortfall.by_model / lacking:.0%} of them as it is"
        ),
        assumes="its cost is all that changes; how often it would be right, only `takt evaluate` tells",
        evidence={
            "fits_total": float(fits),
            "unqueued_total": float(unqueued),
            "answered_by_model_share": shortfall.by_model / lacking,
            "nine_of_ten_at_ms": most_us / 1_000,
        },
    )


def _ms(us: float) -> str:
    return f"{us / 1_000:.3g} ms"


def _executor(tally: Tally) -> Iterator[WhatIf]:
    queued = tally.causes[Cause.QUEUE]
    texts = sum(model.texts for model in tally.models.values())
    if not texts:
        return
    cost_us = sum(model.busy_us for model in tally.models.values()) / texts
    helped = tally.windows.answerable(executors=2, cost_us=cost_us)
    share, busy = tally.windows.executor_share(), tally.windows.executor_share_in_trouble()
    said = (
        f"{helped:,} of {queued:,} that the queue made late or degraded would have found room"
        if queued
        else "no, the queue made none late or degraded"
    )
    yield WhatIf(
        change="another core, as a second executor",
        helped_total=helped,
        sentence=f"{said}; the executor ran {share:.0%} of the time, {busy:.0%} when requests were late or degraded",
        assumes=f"each executor is used up to {USABLE_SHARE:.0%}; one text more costs the mean, {_ms(cost_us)}",
        evidence={"queued_total": float(queued), "executor_share": share, "executor_share_in_trouble": busy},
    )


def _loop(tally: Tally) -> Iterator[WhatIf]:
    """Late answers without the wait for the loop, and models for whom its lateness kept from them."""
    late, loop = tally.late, tally.stages.get("loop")
    in_time = loop.late_without if loop else 0
    fits = sum(_fits_without_lag(tally, rung) for rung in tally.shortfalls)
    helped = in_time + fits + tally.relieved
    if not late and not helped:
        return
    share = tally.windows.loop_share()
    no = "" if helped else "no, "
    yield WhatIf(
        change="another core, for the event loop alone",
        helped_total=helped,
        sentence=(
            f"{no}{in_time:,} of {late:,} late answers would have been in time without waiting for it, {fits:,} have"
            f" had time for their rung with {KEPT_US / 1_000:g} ms kept free for the way out, and {tally.relieved:,}"
            f" not been kept from every model to relieve it; work in records kept it busy {share:.0%} of the time"
        ),
        assumes="the lateness comes from a shared core; a loop that blocks itself would be as late on its own",
        evidence={
            "late_total": float(late),
            "in_time_total": float(in_time),
            "fits_total": float(fits),
            "relieved_total": float(tally.relieved),
            "loop_share": share,
        },
    )


def _fits_without_lag(tally: Tally, rung: str) -> int:
    cost = cost_of(tally, rung)
    if cost is None or not cost.is_late_by_loop:
        return 0
    return tally.shortfalls[rung].spare.at_least(cost.idle_us)


def _cache(tally: Tally, troubled: int) -> Iterator[WhatIf]:
    if tally.without_text > _TEXTS_KEPT_SHARE * tally.n:
        return
    repeated, cached = tally.repeats.repeated_share(), tally.repeats.cached_share()
    more = max(0.0, repeated - cached)
    helped = round(more * troubled)
    no = "" if helped else "no, "
    yield WhatIf(
        change="a larger cache, or a longer one",
        helped_total=helped,
        sentence=(
            f"{no}{repeated:.1%} of requests repeat a text, the cache answered {cached:.1%}; at most {more:.1%} more"
        ),
        assumes="late and degraded requests repeat as often as others; the best rung answered one, and it stayed",
        evidence={"repeated_share": repeated, "cached_share": cached},
    )
