"""Down the ladder: from the best rung to the first that answers in time, while the held answer waits to stand in."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from budgets.criticality import SHEDDABLE_PLUS
from budgets.deadline import NS_PER_MS
from budgets.ledger import Stage
from budgets.shedding import Verdict
from fallbacks.ladder import Ask, Degraded, Skip, choose, degraded
from models.inputs import Question
from router.domain.decision import Reason, RunFacts

if TYPE_CHECKING:
    from collections.abc import Callable

    from budgets.clock import Clock
    from budgets.deadline import Budget
    from budgets.overload import Overload
    from fallbacks.ladder import Choice
    from fallbacks.runner import Run, Runner
    from models.classifier import Prediction
    from models.columns import Value
    from router.domain.decision import Decision
    from router.policy.point import ModelRung, Plan, Point
    from router.telemetry.registry import Metrics

_LOGGER = logging.getLogger("takt.pipeline")
# uvloop's timers are 1 ms grained, so a commit timer may ring a millisecond late; as much again to act on it.
TIMER_SLACK_NS = 2 * NS_PER_MS
_TELL_EVERY_NS = 1_000_000_000


class Key(NamedTuple):
    """What makes two questions the same."""

    point: str
    plan_version: str
    text: str
    values: tuple[Value, ...] = ()


class Lag(Protocol):
    """How late the event loop runs what is due."""

    def tail_ns(self, now_ns: int) -> int: ...


class Quest(NamedTuple):
    """What is to be answered, by which plan, until when."""

    point: Point
    plan: Plan
    key: Key
    rank: int
    budget: Budget
    commit_ns: int


class Descent:
    """Walks the ladder. One event loop owns it."""

    def __init__(
        self,
        clock: Clock,
        runner: Runner[Key, Question, Prediction],
        control: Overload,
        lag: Lag,
        metrics: Metrics,
        explores: Callable[[], bool],
    ) -> None:
        """`explores` is asked for each less than critical request whether it is to try what seems too slow."""
        self.runner = runner
        self._clock, self._control, self._lag, self._metrics, self._explores = clock, control, lag, metrics, explores
        self._tell_again_ns = 0

    async def descend(
        self, quest: Quest, verdict: Verdict, held: Decision, on_best: Callable[[Key, Prediction], None] | None
    ) -> Decision:
        """The answer of the best rung that fits; what none of them can answer in time, `held` does.

        `on_best` gets what the best rung says whenever it comes: a fresh cache entry stands for it.
        """
        point, rungs = quest.point, quest.plan.rungs
        if verdict is Verdict.FLOOR and rungs:
            return _told(held, [Skip(rung.name, Degraded.OVERLOAD) for rung in rungs])
        skips: list[Skip] = [] if rungs else [Skip("models", Degraded.COLD)]
        ask = self._ask(quest, verdict)
        answer, facts = held, None
        while rungs:
            now_ns = self._clock.now_ns()
            choice = choose(rungs, skips, self.runner.executor, ask, now_ns=now_ns, hop_ns=self.hop_ns(now_ns))
            if choice is None:
                break
            rung = choice.rung
            run = await self._run(choice, ask, quest, on_best if rung is rungs[0] else None)
            if rung.needs_executor:
                facts = _facts(choice, run, quest.budget.ledger.start_ns, now_ns)
            if run.value is not None:
                answer = point.read(run.value, rung.threshold, rung.name, Reason.MODEL)
                self._metrics.floor_agreement.child(held.rung, str(answer.route == held.route).lower()).inc()
                break
            skips.append(Skip(rung.name, run.why))
            if run.error:
                self._tell(rung.name, run.error)
        answer.run = facts
        return _told(answer, skips)

    def hop_ns(self, now_ns: int) -> int:
        """What the way from the executor's thread back to this loop may take."""
        return TIMER_SLACK_NS + self._lag.tail_ns(now_ns)

    def _ask(self, quest: Quest, verdict: Verdict) -> Ask:
        rank = quest.rank
        may_queue = None if verdict is Verdict.INLINE else partial(self._may_queue, rank)
        is_explorer = rank >= SHEDDABLE_PLUS and self._explores()
        lost_ns = quest.budget.ledger.stages_ns[Stage.LOOP]
        return Ask(rank, len(quest.key.text), quest.commit_ns, may_queue, is_explorer, lost_ns)

    def _may_queue(self, rank: int, cost_ns: int) -> bool:
        # The less critical do not count: who waits behind is no reason to turn somebody away.
        in_line, control = self.runner.executor.ahead(rank), self._control
        return control.admits_run(rank, cost_ns, in_line, self._clock.now_ns()) or not control.enforces

    async def _run(
        self,
        choice: Choice[ModelRung],
        ask: Ask,
        quest: Quest,
        on_best: Callable[[Key, Prediction], None] | None,
    ) -> Run[Prediction]:
        """One rung, inline or on the executor, with its time booked and its breaker told."""
        rung, key, ledger = choice.rung, quest.key, quest.budget.ledger
        if rung.needs_executor:
            run = await self.runner.run(key, choice, ask, Question(key.text, key.values), on_best)
            # What lies between the thread's stamps and now is the event loop's; a run without an end was waited for.
            now_ns, batch = self._clock.now_ns(), run.batch
            ledger.mark(Stage.QUEUE, now_ns if batch is None else batch.start_ns)
            ledger.mark(Stage.INFER, now_ns if batch is None or batch.end_ns is None else batch.end_ns)
            ledger.mark(Stage.LOOP, now_ns)
            return run
        run = self.runner.run_inline(choice, ask.length, partial(rung.predict, key.text, key.values))
        ledger.mark(Stage.INFER, self._clock.now_ns())
        if run.value is not None and on_best is not None:
            on_best(key, run.value)
        return run

    def _tell(self, rung: str, error: str) -> None:
        """Count an error of a rung, and log one a second at most."""
        self._metrics.rung_errors.child(rung).inc()
        now_ns = self._clock.now_ns()
        if now_ns >= self._tell_again_ns:
            self._tell_again_ns = now_ns + _TELL_EVERY_NS
            _LOGGER.warning("rung_failed", extra={"rung": rung, "error": error[:500]})


def _told(answer: Decision, skips: list[Skip]) -> Decision:
    answer.skips, answer.degraded = skips, degraded(skips).value
    return answer


def _facts(choice: Choice[ModelRung], run: Run[Prediction], began_ns: int, chosen_ns: int) -> RunFacts:
    """What was expected of a run on the executor, and what became of it; times from the budget's start."""
    batch = run.batch
    return RunFacts(
        rung=choice.rung.name,
        texts=0 if batch is None else len(batch.jobs),
        predicted_ms=(choice.cost_ns if batch is None else batch.limit_ns) / NS_PER_MS,
        wait_ms=choice.wait_ns / NS_PER_MS,
        queued_ms=(chosen_ns - began_ns) / NS_PER_MS,
        start_ms=None if batch is None else (batch.start_ns - began_ns) / NS_PER_MS,
        latest_start_ms=(choice.latest_start_ns - began_ns) / NS_PER_MS,
        commit_ms=(choice.until_ns - began_ns) / NS_PER_MS,
        end_ms=None if batch is None or batch.end_ns is None else (batch.end_ns - began_ns) / NS_PER_MS,
    )
