"""Seeded simulations of the whole decision path: random traffic, random faults, invariants that always hold.

`TAKT_SEEDS=500` plays more of them; `TAKT_SEED=123` plays that one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from router.errors import NotAdmitted
from tests.simulation.plan import LARGE_FAULTS, long_fault, plan
from tests.simulation.world import World, play
from tests.virtual import MS, S

ONE_SEED = os.environ.get("TAKT_SEED")
SEEDS = [int(ONE_SEED)] if ONE_SEED else list(range(int(os.environ.get("TAKT_SEEDS", "50"))))


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """A failure tells how to see it again."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"again: TAKT_SEED={seed} python -m pytest tests/simulation/test_spine.py")
        raise


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_the_invariants_hold(seed: int) -> None:
    with reproducible(seed):
        world = play(plan(seed, responsive=False))
        check_responses(world)
        check_lateness(world)
        check_counts(world)
        check_nothing_is_left(world)
        check_recovery(world)


@pytest.mark.parametrize("seed", SEEDS[::5])
def test_while_the_loop_is_free_nothing_is_late(seed: int) -> None:
    """Whatever the models, the executor and the disk do."""
    with reproducible(seed):
        world = play(plan(seed, responsive=True))
        check_responses(world)
        check_counts(world)
        late = [visit for visit in world.visits if visit.answer is not None and not visit.budget.is_met()]
        assert not late


@pytest.mark.parametrize("seed", SEEDS[::10])
def test_a_seed_plays_the_same_log_byte_for_byte(seed: int) -> None:
    """I13."""
    with reproducible(seed):
        chosen = plan(seed, responsive=False)
        assert play(chosen).log_bytes() == play(chosen).log_bytes()


@pytest.mark.parametrize("kind", LARGE_FAULTS)
@pytest.mark.parametrize("seed", SEEDS[::50])
def test_after_a_long_fault_the_top_rung_is_back_within_five_seconds(seed: int, kind: str) -> None:
    """Liveness: costs were learned, breakers opened and reopened meanwhile."""
    with reproducible(seed):
        world = play(long_fault(seed, kind))
        check_counts(world)
        check_nothing_is_left(world)
        check_recovery(world)
        assert all(visit.answer is not None and visit.budget.is_met() for visit in world.visits)


def check_responses(world: World) -> None:
    """I1: each request ends once; I14: no request is without a bound; each answer is in the log as it was given."""
    assert len(world.visits) == len(world.plan.arrivals)
    settings = world.spine.point.budget
    records = {record.decision_id: record for record in world.log.records}
    assert len(records) == len(world.log.records), "I1: one record a decision"
    for visit in world.visits:
        assert len(visit.ended) == 1, "I1: exactly one end"
        expected_ms = min((*visit.arrival.stated_ms, settings.max_ms))
        if not visit.arrival.stated_ms:
            expected_ms = settings.default_ms
        assert visit.budget.total_ns == int(max(expected_ms, -settings.max_ms) * MS), "I14"
        assert visit.budget.deadline_ns <= visit.budget.ledger.start_ns + visit.budget.total_ns
        if visit.answer is not None:
            decision, record = visit.answer.decision, records[visit.answer.decision.decision_id]
            assert (record.route, record.rung, record.degraded) == (decision.route, decision.rung, decision.degraded)
            assert record.text == visit.arrival.text
            assert (decision.rung == "guard") == ("real person" in visit.arrival.text)
            assert (decision.degraded == "none") == (not decision.skips)
        elif isinstance(visit.ended[0], NotAdmitted) and visit.budget.total_ns <= 0:
            assert visit.ended[0].code == "deadline-expired"


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
    """I6: received = sum of the rungs + refused + those who left; the metrics say so too."""
    metrics = world.spine.metrics
    answered = Counter(visit.answer.decision.rung for visit in world.visits if visit.answer is not None)
    refused = Counter(end.code for visit in world.visits for end in visit.ended if isinstance(end, NotAdmitted))
    left = sum(visit.answer is None and not isinstance(visit.ended[0], NotAdmitted) for visit in world.visits)
    by_rung: Counter[str] = Counter()
    for (_, rung, *_), counter in metrics.requests.children.items():
        by_rung[rung] += counter.value
    assert by_rung == answered
    assert {code: child.value for (code,), child in metrics.refused.children.items()} == refused
    assert len(world.plan.arrivals) == answered.total() + refused.total() + left
    assert left <= sum(arrival.leaves_after_ns is not None for arrival in world.plan.arrivals)


def check_nothing_is_left(world: World) -> None:
    spine = world.spine
    assert spine.admission.inflight == 0
    assert len(spine.executor) == 0
    assert not spine.runner._flights
    assert [rung.breaker._probes for rung in spine.rungs] == [0, 0]


def check_recovery(world: World) -> None:
    """Liveness: within 5 s of the last fault's end the top rung answers again, and keeps answering."""
    mended_ns = world.plan.mended_ns
    after = [
        (visit.arrival.at_ns - mended_ns, visit.answer)
        for visit in world.visits
        if visit.arrival.text.startswith("probe") and visit.arrival.at_ns >= mended_ns
    ]
    assert any(answer is not None and answer.decision.rung == "large" for at_ns, answer in after if at_ns <= 5 * S)
    healthy = [answer is not None and answer.decision.rung == "large" for at_ns, answer in after if at_ns > 5 * S]
    assert sum(healthy) >= 0.9 * len(healthy), "the top rung is back, and stays"
