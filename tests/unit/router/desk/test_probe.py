"""The look at the invariants: what is wrong is counted, and said once of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign.engine import Engine
from router.desk.probe import Probe
from tests.virtual_desk import POLICY, agent, create, never, present

if TYPE_CHECKING:
    import pytest

    from router.assign.engine import Stepped

AT_NS = 1_700_000_000_000_000_000


def engine_with_ana() -> Engine:
    engine = Engine(never, POLICY)
    for command in (agent("ana", 100), present("ana")):
        engine.step(command, AT_NS)
    return engine


def looks(engine: Engine, probe: Probe, steps: int) -> list[Stepped]:
    done = []
    for _ in range(steps):
        done.append(engine.step(create(f"t{engine.state.position}"), AT_NS))
        probe.look(engine.state, done[-1])
    return done


def test_an_engine_that_does_right_violates_nothing() -> None:
    engine, probe = engine_with_ana(), Probe()
    looks(engine, probe, 64)
    assert probe.violations_total == 0


def test_what_is_wrong_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    engine, probe = engine_with_ana(), Probe()
    engine.state.resources["ana"].used += 1
    looks(engine, probe, 64)
    assert probe.violations_total == 4, "every 16th step is looked at"
    (said,) = [vars(record) for record in caplog.records if record.message == "invariant_violated"]
    assert (said["invariant"], said["subject"]) == ("I2", "ana")
    assert "uses" in said["detail"]
