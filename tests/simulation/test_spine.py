"""Whole spines in virtual time: every seed is another server, another load, other faults, and the invariants hold.

`TAKT_SEEDS=500` plays 500 seeds, `TAKT_SEED=17` only that one. I1 to I15 are the invariants
of docs/checking-histories.md, and those that only a simulation can see.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import msgspec
import pytest

from router.errors import NotAdmitted
from tests.simulation.invariants import (
    check_counts,
    check_lateness,
    check_nothing_is_left,
    check_recovery,
    check_responses,
)
from tests.simulation.plan import LARGE_FAULTS, Plan, long_fault, long_overload, plan
from tests.simulation.world import World, play

ONE_SEED = os.environ.get("TAKT_SEED")
SEEDS = [int(ONE_SEED)] if ONE_SEED else list(range(int(os.environ.get("TAKT_SEEDS", "25"))))


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


@pytest.mark.parametrize("seed", SEEDS[::10])
def test_what_is_decided_in_the_dark_changes_no_response(seed: int) -> None:
    """I15. The verdicts are in the records, and there only."""
    with reproducible(seed):
        chosen = plan(seed, responsive=False)
        dark, off = (play(_in_mode(chosen, mode)) for mode in ("dark", "off"))
        assert _seen(dark) == _seen(off)


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


@pytest.mark.parametrize("seed", SEEDS[::25])
def test_after_a_long_overload_the_top_rung_is_back_within_five_seconds(seed: int) -> None:
    """Liveness: nothing that was turned down stays so."""
    with reproducible(seed):
        world = play(long_overload(seed))
        check_counts(world)
        check_nothing_is_left(world)
        check_recovery(world)
        assert max(shed for _, shed, _ in world.pressures) > 0, "there was no overload"


def _in_mode(chosen: Plan, mode: str) -> Plan:
    return replace(chosen, overload=msgspec.structs.replace(chosen.overload, mode=mode))


def _seen(world: World) -> list[tuple[object, ...]]:
    """What the clients see, and when."""
    return [
        (
            visit.arrival.text,
            visit.end_ns,
            visit.ended[0].code if isinstance(visit.ended[0], NotAdmitted) else type(visit.ended[0]),
            visit.answer and (visit.answer.decision.route, visit.answer.decision.rung, visit.answer.decision.degraded),
        )
        for visit in world.visits
    ]
