"""What must be true of a world that has been played, however it was."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from budgets.criticality import COHORTS, cohort
from router.errors import NotAdmitted
from tests.virtual import MS, S

if TYPE_CHECKING:
    from router.log import DecisionRecord
    from tests.simulation.watch import Visit
    from tests.simulation.world import World

BACK_NS = 5 * S
_HOUR_NS = 3_600 * S
# Of a pressure: as good as none.
_LITTLE = 0.05


def check_responses(world: World) -> None:
    """I1: each request ends once; I14: none is without a bound; each answer is in the log as it was given."""
    assert len(world.visits) == len(world.plan.arrivals), "I1"
    records = {record.decision_id: record for record in world.log.records}
    assert len(records) == len(world.log.records), "I1: one record a decision"
    for visit in world.visits:
        assert len(visit.ended) == 1, "I1: exactly one end"
        _check_budget(world, visit)
        if visit.answer is not None:
            _check_record(visit, records[visit.answer.decision.decision_id])
        elif visit.budget.total_ns <= 0:
            refused = visit.ended[0]
            assert not isinstance(refused, NotAdmitted) or refused.code == "deadline-expired", "I8"


def _check_budget(world: World, visit: Visit) -> None:
    settings = world.spine.point.budget
    expected_ms = min((*visit.arrival.stated_ms, settings.max_ms))
    if not visit.arrival.stated_ms:
        expected_ms = settings.default_ms
    assert visit.budget.total_ns == int(max(expected_ms, -settings.max_ms) * MS), "I14"
    assert visit.budget.deadline_ns <= visit.budget.ledger.start_ns + visit.budget.total_ns, "I14"


def _check_record(visit: Visit, record: DecisionRecord) -> None:
    assert visit.answer is not None
    decision, arrival = visit.answer.decision, visit.arrival
    assert (record.route, record.rung, record.degraded) == (decision.route, decision.rung, decision.degraded)
    assert (record.text, record.criticality) == (arrival.text, arrival.criticality.value)
    assert record.plan_version == visit.plan_version, "a decision keeps to the plan that it began with"
    assert (decision.rung == "guard") == ("real person" in arrival.text)
    assert (decision.degraded == "none") == (not decision.skips)
    assert record.level // COHORTS == arrival.criticality.rank
    if arrival.session_id is not None:
        expected = cohort(arrival.session_id, visit.wall_ns // _HOUR_NS)
        assert record.level % COHORTS == expected, "I12: the cohort is of the session and the hour"
    run = record.run
    if run is not None and run.start_ms is not None:
        assert run.rung == "large"
        assert run.end_ms is None or run.end_ms >= run.start_ms


def check_lateness(world: World) -> None:
    """I4: later than the budget is labelled late and counted; the books agree with the clock."""
    late = 0
    for visit in world.visits:
        if visit.answer is not None:
            elapsed_ns = visit.end_ns - visit.budget.ledger.start_ns
            assert sum(visit.budget.ledger.stages_ns) == visit.budget.ledger.elapsed_ns == elapsed_ns
            assert visit.budget.is_met() == (elapsed_ns <= visit.budget.total_ns), "I4: labelled"
            late += elapsed_ns > visit.budget.total_ns
    assert world.spine.metrics.budget_missed.child("interactions").value == late, "I4: counted"


def check_counts(world: World) -> None:
    """I6: received = sum of the rungs + refused + those who left; the metrics and the control say so too."""
    metrics, control = world.spine.metrics, world.spine.control
    answered = Counter(visit.answer.decision.rung for visit in world.visits if visit.answer is not None)
    refused = Counter(end.code for visit in world.visits for end in visit.ended if isinstance(end, NotAdmitted))
    left = sum(visit.answer is None and not isinstance(visit.ended[0], NotAdmitted) for visit in world.visits)
    by_rung: Counter[str] = Counter()
    for (_, rung, *_), counter in metrics.requests.children.items():
        by_rung[rung] += counter.value
    assert by_rung == answered, "I6"
    assert {code: child.value for (code,), child in metrics.refused.children.items()} == refused, "I6"
    assert len(world.plan.arrivals) == answered.total() + refused.total() + left, "I6"
    assert left <= sum(arrival.leaves_after_ns is not None for arrival in world.plan.arrivals), "I6"
    judged = sum(sum(control.verdicts(rank).values()) for rank in range(4))
    turned_away = refused.total() - refused["rejected-overload"]
    assert judged == len(world.plan.arrivals) - turned_away, "I6: who is let in is judged once"


def check_nothing_is_left(world: World) -> None:
    spine = world.spine
    assert spine.admission.inflight == 0
    assert len(spine.executor) == 0
    assert not spine.runner._flights
    assert {rung.breaker._probes for rung in world.rungs} == {0}, "I10"


def check_recovery(world: World) -> None:
    """I11: within 5 s of the last fault's end the top rung answers again, and keeps answering; no pressure is left."""
    mended_ns = world.plan.mended_ns
    after = [
        (visit.arrival.at_ns - mended_ns, visit.answer)
        for visit in world.visits
        if visit.arrival.text.startswith("probe") and visit.arrival.at_ns >= mended_ns
    ]
    is_large = [(at_ns, answer is not None and answer.decision.rung == "large") for at_ns, answer in after]
    assert any(large for at_ns, large in is_large if at_ns <= BACK_NS), "I11: the top rung is not back"
    healthy = [large for at_ns, large in is_large if at_ns > BACK_NS]
    assert sum(healthy) >= 0.9 * len(healthy), "I11: the top rung is back, and stays"
    left = [max(pressures) for at_ns, *pressures in world.pressures if at_ns > mended_ns + BACK_NS]
    assert max(left) <= _LITTLE, "I11: pressure without an overload"
