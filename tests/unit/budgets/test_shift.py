"""Following the machine's speed."""

from __future__ import annotations

from random import Random

import pytest

from budgets.shift import Shift

LOW, MIDDLE, HIGH = 0.73, 0.97, 1.35  # of a lognormal with sigma .25, relative to its mean


class Machine:
    """Costs `speed` times its profile, +- 25 %."""

    def __init__(self, seed: int = 1) -> None:
        self.shift = Shift()
        self.rng = Random(seed)
        self.speed = 1.0
        self.jumps = 0

    def run(self, batches: int) -> None:
        for _ in range(batches):
            self.cost(self.speed * self.rng.lognormvariate(-0.03, 0.25))

    def cost(self, cost: float) -> None:
        self.jumps += self.shift.learn(cost / self.shift.scale, LOW, MIDDLE, HIGH)


def test_a_steady_machine_makes_no_jumps() -> None:
    machine = Machine()
    machine.run(50_000)
    assert machine.jumps == 0
    assert machine.shift.scale == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize("speed", [3.0, 10.0, 1_000.0])
def test_three_batches_that_agree_are_believed(speed: float) -> None:
    machine = Machine()
    machine.run(300)
    machine.speed = speed
    machine.run(2)
    assert machine.jumps == 0
    machine.run(2)
    assert machine.jumps == 1
    assert speed / 1.6 < machine.shift.scale < 1.6 * speed


def test_two_are_enough_on_the_way_back() -> None:
    machine = Machine()
    machine.speed = 10.0
    machine.run(100)
    machine.speed = 1.0
    machine.run(2)
    assert 1 / 1.6 < machine.shift.scale < 1.6


def test_below_the_profile_three_are_asked_again() -> None:
    machine = Machine()
    machine.run(300)
    machine.speed = 0.1
    machine.run(2)
    assert machine.shift.scale > 0.8
    machine.run(2)
    assert 0.1 / 1.6 < machine.shift.scale < 1.6 * 0.1


@pytest.mark.parametrize("outlier", [1e-9, 1e9])
def test_one_outlier_makes_no_jump_and_hardly_a_difference(outlier: float) -> None:
    machine = Machine()
    machine.run(300)
    before = machine.shift.scale
    machine.cost(outlier)
    assert machine.jumps == 0
    assert machine.shift.scale == pytest.approx(before, rel=0.04)


def test_a_gradual_change_is_followed() -> None:
    machine = Machine()
    for _ in range(1_000):
        machine.speed *= 1.001
        machine.run(1)
    assert machine.shift.scale == pytest.approx(machine.speed, rel=0.2)


def test_fading_and_restart_lead_back_to_the_profile() -> None:
    machine = Machine()
    machine.speed = 9.0
    machine.run(500)
    scale = machine.shift.scale
    machine.shift.fade(0.5)
    assert machine.shift.scale == pytest.approx(scale**0.5)
    machine.shift.restart()
    assert machine.shift.scale == 1.0


def test_evidence_from_before_a_silence_fades_as_well() -> None:
    machine = Machine()
    machine.cost(10.0)
    machine.cost(10.0)
    machine.shift.fade(0.1)
    machine.cost(10.0)
    assert machine.jumps == 0
    machine.cost(10.0)
    machine.cost(10.0)
    assert machine.jumps == 1
