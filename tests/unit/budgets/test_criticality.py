"""Classes, cohorts and levels."""

from __future__ import annotations

from collections import Counter

from budgets.batch_cost import QUANTILES
from budgets.criticality import (
    CLASSES,
    COHORTS,
    CRITICAL,
    CRITICAL_PLUS,
    SHEDDABLE,
    SHEDDABLE_PLUS,
    TAIL,
    cohort,
    level,
)


def test_the_more_critical_are_the_lower() -> None:
    assert list(range(CLASSES)) == [CRITICAL_PLUS, CRITICAL, SHEDDABLE_PLUS, SHEDDABLE]


def test_the_more_critical_keep_the_wider_margin() -> None:
    assert [QUANTILES[at] for at in TAIL] == [0.995, 0.99, 0.9, 0.9]


def test_levels_are_all_of_0_to_511_and_no_class_reaches_into_another() -> None:
    levels = [level(rank, number) for rank in range(CLASSES) for number in range(COHORTS)]
    assert levels == list(range(512))


def test_a_session_keeps_its_fate_for_an_hour() -> None:
    assert len({cohort("session-7", 480_000) for _ in range(100)}) == 1
    assert len({cohort("session-7", hour) for hour in range(480_000, 480_100)}) > 50, "and no longer"


def test_a_cohort_is_the_same_in_every_process_and_release() -> None:
    """Or servers side by side would degrade different sessions. Worked out by hand: crc32 of `480000 a`, modulo 128."""
    assert [cohort("a", 480_000), cohort("", 0), cohort("bücher", 1), cohort("\ud800", 1)] == [45, 68, 45, 47]


def test_cohorts_are_of_about_the_same_size() -> None:
    sizes = Counter(cohort(f"session-{number}", 480_000) for number in range(128 * 200))
    assert set(sizes) == set(range(COHORTS))
    assert max(sizes.values()) < 1.5 * 200
    assert min(sizes.values()) > 0.5 * 200
