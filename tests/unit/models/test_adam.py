"""One weight's steps, against the published formula."""

from __future__ import annotations

import numpy as np
import pytest

from models.adam import Adam


def test_the_first_step_is_as_long_as_the_rate_whatever_the_gradient() -> None:
    weight = Adam(np.array([1.0, 1.0, 1.0], np.float32))
    weight.step(np.array([1e-3, 100.0, -0.5], np.float32), 0.1)
    assert weight.value == pytest.approx([0.9, 0.9, 1.1], abs=1e-4)


def test_steps_are_those_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    start, grads = rng.normal(size=4), rng.normal(size=(20, 4))
    weight = Adam(start.astype(np.float32))
    value, first, second = start.copy(), np.zeros(4), np.zeros(4)
    for number, grad in enumerate(grads, 1):
        weight.step(grad.astype(np.float32), 0.05)
        first = 0.9 * first + 0.1 * grad
        second = 0.999 * second + 0.001 * grad**2
        value -= 0.05 * (first / (1 - 0.9**number)) / (np.sqrt(second / (1 - 0.999**number)) + 1e-8)
    assert weight.value == pytest.approx(value, abs=1e-5)


def test_without_a_gradient_nothing_moves() -> None:
    weight = Adam(np.ones(1, np.float32))
    for _ in range(3):
        weight.step(np.zeros(1, np.float32), 0.2)
    assert weight.value.tolist() == [1]
