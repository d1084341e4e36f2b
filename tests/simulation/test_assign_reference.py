"""The references themselves: against table 3.2 of the design, each other, and cases that a person can follow."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulation.assign_reference import NEVER, cobham, erlang_a, erlang_b, erlang_c, fcfs_starts

TABLE = [
    (8 / 3, 3, 10, 0.4092, 36.83, 0.6724),
    (10, 0.9, 10, 0.6687, 36.11, 0.5383),
    (100 / 30, 3, 14, 0.1741, 7.84, 0.8884),
    (19 / 3, 3, 20, 0.7554, 135.97, 0.3240),
]


@pytest.mark.parametrize(("rate", "aht", "servers", "waits", "asa_s", "level"), TABLE)
def test_erlang_c_gives_the_published_values(
    rate: float, aht: float, servers: int, waits: float, asa_s: float, level: float
) -> None:
    found = erlang_c(rate, aht, servers)
    assert found.wait_share == pytest.approx(waits, abs=5e-5)
    assert found.asa_min * 60 == pytest.approx(asa_s, abs=5e-3)
    assert found.service_level == pytest.approx(level, abs=5e-5)


def test_erlang_a_gives_the_published_values() -> None:
    found = erlang_a(11 / 3, 3, 10, 2)
    assert found.wait_share == pytest.approx(0.6055, abs=5e-5)
    assert found.abandoned_share == pytest.approx(0.1808, abs=5e-5)
    assert found.wait_min * 60 == pytest.approx(21.7, abs=5e-2)


def test_erlang_a_becomes_erlang_c_where_nobody_leaves_and_erlang_b_where_nobody_waits() -> None:
    patient, waiting = erlang_a(8 / 3, 3, 10, 1e9), erlang_c(8 / 3, 3, 10)
    assert patient.wait_share == pytest.approx(waiting.wait_share, rel=1e-6)
    assert patient.wait_min == pytest.approx(waiting.asa_min, rel=1e-6)
    assert erlang_a(8 / 3, 3, 10, 1e-9).abandoned_share == pytest.approx(erlang_b(10, 8), rel=1e-6)


def test_cobham_keeps_the_mean_wait_of_all() -> None:
    first, second = cobham([1.0, 1.5], 3, 10)
    assert first < second
    mixed = (1.0 * first + 1.5 * second) / 2.5
    assert mixed == pytest.approx(erlang_c(2.5, 3, 10).asa_min, rel=1e-9)


def test_recursion_on_a_case_that_can_be_followed() -> None:
    # Two servers: the third waits for the second, the fourth for the first, the fifth finds one free.
    assert fcfs_starts([0, 1, 2, 3, 100], [10, 4, 10, 1, 1], 2) == [0, 1, 5, 10, 100]
    # The third leaves after 2 and leaves its server to the fourth.
    assert fcfs_starts([0, 1, 2, 3, 100], [10, 4, 10, 1, 1], 2, [99, 99, 2, 99, 0]) == [0, 1, NEVER, 5, 100]


def test_recursion_agrees_with_the_formulas() -> None:
    rng = np.random.default_rng(5)
    count, second = 400_000, 1_000_000_000
    arrivals = np.cumsum(rng.exponential(60 / (8 / 3), count) * second).astype(np.int64)
    services = (rng.exponential(180, count) * second).astype(np.int64)
    waits = np.array(fcfs_starts(arrivals.tolist(), services.tolist(), 10)) - arrivals
    # One run of 100,000 has a standard deviation of 8.7 % (design, 3.2), this one half of that.
    assert np.mean(waits) / second == pytest.approx(36.83, rel=0.13)
    assert np.mean(waits > 0) == pytest.approx(0.4092, rel=0.05)
