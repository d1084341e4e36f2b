"""The bottleneck: the cause that most of the late and degraded requests share, in one sentence with its evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from router.audit.cause import Cause
from router.audit.finding import Bottleneck

if TYPE_CHECKING:
    from router.audit.tally import Tally

_TOLERATED_SHARE = 0.001
"""Of all requests. With fewer late or degraded ones there is nothing to mend."""
_UNEVEN = 2
"""A budget of twice a rung's usual time is not too small, if it also holds what an idle server would need."""
KEPT_US = 4_000
"""What the ladder keeps back where the event loop is idle: 2 ms for timers, 1 ms for the network, some own work."""
_OWN = ("parse", "admit", "floor", "context", "cache", "policy", "assign", "encode")
_BUSY_SHARE = 0.4
"""A loop that was less busy with its own work did not keep itself waiting."""


class Cost(NamedTuple):
    """What a rung takes."""

    usual_us: float
    predicted_us: float
    """The 99th percentile, as it was foreseen."""
    kept_us: float
    """Of a budget, what the ladder keeps back for the way to the client."""

    @property
    def needed_us(self) -> float:
        return self.predicted_us + self.kept_us

    @property
    def idle_us(self) -> float:
        """What an idle server would need: it keeps no more back than an idle loop takes."""
        return self.predicted_us + min(self.kept_us, KEPT_US)

    @property
    def is_late_by_loop(self) -> bool:
        """Whether more is kept back because the event loop is late than because runs may take longer than usual."""
        return self.kept_us - KEPT_US > self.predicted_us - self.usual_us


def cost_of(tally: Tally, rung: str) -> Cost | None:
    """From its runs, its answers where it runs inline. None: it never ran."""
    model = tally.models.get(rung)
    if model is None or not model.run.n:
        return None
    predicted_us = model.predicted.quantile(0.5) if model.predicted.n else model.run.quantile(0.99)
    return Cost(max(1, model.run.quantile(0.5)), predicted_us, model.kept_back.quantile(0.5))


def uneven_of(tally: Tally, rung: str) -> int:
    """Answers that lack a rung for their budget, though it had twice the usual time, and enough for an idle server."""
    cost = cost_of(tally, rung)
    if cost is None:
        return 0
    return tally.shortfalls[rung].spare.at_least(max(_UNEVEN * cost.usual_us, cost.idle_us))


def causes_of(tally: Tally) -> dict[Cause, int]:
    """Late and degraded requests by cause, most first.

    A budget that an idle server could have met is not to blame: the lateness of the event loop is, or the tail of the
    model, whichever the ladder has to keep more free for.
    """
    causes = dict(tally.causes)
    for rung in tally.shortfalls:
        if (uneven := uneven_of(tally, rung)) and (cost := cost_of(tally, rung)):
            culprit = Cause.LOOP if cost.is_late_by_loop else Cause.MODEL
            causes[Cause.BUDGET] -= uneven
            causes[culprit] = causes.get(culprit, 0) + uneven
    kept = {cause: total for cause, total in causes.items() if total}
    return dict(sorted(kept.items(), key=lambda item: -item[1]))


def bottleneck_of(tally: Tally, causes: dict[Cause, int]) -> Bottleneck:
    """The first of `causes`, said with numbers."""
    troubled = sum(causes.values())
    if troubled <= _TOLERATED_SHARE * tally.n:
        rest = f"; {troubled:,} late or degraded are within the tolerated 0.1 %" if troubled else ""
        sentence = f"None: {1 - troubled / tally.n:.2%} were answered in time by the best rung{rest}."
        return Bottleneck(cause=None, sentence=sentence)
    cause, total = next(iter(causes.items()))
    evidence = {"troubled_total": float(troubled), "caused_total": float(total)}
    sentence, numbers = _SAYINGS[cause](
        tally, f"{total:,} of the {troubled:,} late or degraded requests ({total / troubled:.0%})"
    )
    return Bottleneck(cause=cause.value, sentence=sentence, evidence=evidence | numbers)


Saying = tuple[str, dict[str, float]]


def _queue(tally: Tally, whose: str) -> Saying:
    share, wait = tally.windows.executor_share_in_trouble(), tally.stages.get("queue")
    p99_ms = wait.all.quantile(0.99) / 1_000 if wait else 0.0
    said = (
        f"The executor's queue: {whose} waited for a model behind others, or would have waited too long; the executor"
        f" ran {share:.0%} of the time when it happened, and waiting took {p99_ms:.1f} ms (p99)."
    )
    return said, {"executor_share_in_trouble": share, "queue_p99_ms": p99_ms}


def _model(tally: Tally, whose: str) -> Saying:
    rung = max(tally.models, key=lambda name: tally.models[name].run.quantile(0.99), default="")
    cost = cost_of(tally, rung)
    if cost is None:
        return f"The run time of a model: {whose} had it run too long.", {}
    refused = uneven_of(tally, rung) if rung in tally.shortfalls and not cost.is_late_by_loop else 0
    p99_ms = tally.models[rung].run.quantile(0.99)
    numbers = {"refused_total": float(refused), "run_p50_ms": cost.usual_us / 1_000, "run_p99_ms": p99_ms / 1_000}
    uneven = f"; {refused:,} lack it though their budget had twice its usual time: it is too uneven" if refused else ""
    said = (
        f"The run time of models: {whose} had one run for too long, or lack it because it may. `{rung}` takes"
        f" {numbers['run_p50_ms']:.1f} ms (p50), {numbers['run_p99_ms']:.1f} ms (p99){uneven}."
    )
    return said, numbers


def _budget(tally: Tally, whose: str) -> Saying:
    too_small = {rung: each.spare.n - uneven_of(tally, rung) for rung, each in tally.shortfalls.items()}
    rung = max(too_small, key=lambda name: too_small[name])
    spare = tally.shortfalls[rung].spare
    spare_ms = spare.quantile(too_small[rung] / spare.n / 2) / 1_000  # of the too small, which are the smallest
    cost = cost_of(tally, rung)
    had = f"half of them had {spare_ms:.1f} ms or less for `{rung}`"
    if cost is None:
        said = (
            f"The budgets, or the run time of `{rung}`, which never ran in these records: {whose} had less time than it"
            f" was expected to take; {had}."
        )
        return said, {"spare_p50_ms": spare_ms}
    needed_ms = cost.idle_us / 1_000
    said = f"The budgets: {whose} had too little time, even on an idle server; {had}, which needs {needed_ms:.1f} ms."
    return said, {"spare_p50_ms": spare_ms, "needed_ms": needed_ms}


def _loop(tally: Tally, whose: str) -> Saying:
    share, loop = tally.windows.loop_share_in_trouble(), tally.stages.get("loop")
    p99_ms = loop.all.quantile(0.99) / 1_000 if loop else 0.0
    kept_ms = max((model.kept_back.quantile(0.5) / 1_000 for model in tally.models.values()), default=0.0)
    held = ", so HTTP or other code kept it busy, or another process had its core" if share < _BUSY_SHARE else ""
    said = (
        f"The event loop: {whose} lost their time waiting for it, or lack a model because it is late: the overload"
        f" control kept {tally.relieved:,} from every model to relieve it, and of budgets {kept_ms:.1f} ms (p50) are"
        f" kept free for the way out. Waits took {p99_ms:.1f} ms (p99); work that records tell of kept it busy"
        f" {share:.0%} of the time then{held}."
    )
    return said, {
        "loop_p99_ms": p99_ms,
        "relieved_total": float(tally.relieved),
        "kept_back_p50_ms": kept_ms,
        "loop_share_in_trouble": share,
    }


def _own(tally: Tally, whose: str) -> Saying:
    own = [(tally.stages[name].late_us, name) for name in _OWN if name in tally.stages]
    if not own:
        return f"Takt itself: {whose} lost most of their time outside of models and queues.", {}
    _, name = max(own)
    p99_ms = tally.stages[name].all.quantile(0.99) / 1_000
    said = (
        f"Takt's own work, `{name}` above all: {whose} lost most of their time outside of models and queues;"
        f" `{name}` takes {p99_ms:.2f} ms (p99)."
    )
    return said, {"stage_p99_ms": p99_ms}


def _failing(tally: Tally, whose: str) -> Saying:
    error, breaker = tally.degraded["error"], tally.degraded["breaker"]
    said = (
        f"A rung that fails: {whose} lost it to an error ({error:,}) or an open circuit breaker ({breaker:,});"
        " the server's lines `rung_failed` and `breaker_open` say why."
    )
    return said, {"error_total": float(error), "breaker_total": float(breaker)}


def _cold(_: Tally, whose: str) -> Saying:
    return f"A cold start: {whose} came before a model was loaded; send traffic when /readyz answers 200.", {}


def _other(tally: Tally, whose: str) -> Saying:
    words = ", ".join(f"`{word}`" for word, _ in tally.degraded.most_common() if word != "none")
    return f"Unknown to this version: {whose} were degraded for a newer reason, among {words}.", {}


_SAYINGS: dict[Cause, Callable[[Tally, str], Saying]] = {
    Cause.QUEUE: _queue,
    Cause.MODEL: _model,
    Cause.BUDGET: _budget,
    Cause.LOOP: _loop,
    Cause.OWN: _own,
    Cause.FAILING: _failing,
    Cause.COLD: _cold,
    Cause.OTHER: _other,
}
