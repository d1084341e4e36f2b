"""Which rows a rung learns from and which it is asked about."""

from __future__ import annotations

import numpy as np
import pytest

from models.split import report_part, split_rows


def test_rows_that_were_given_to_check_with_check() -> None:
    truth = np.array([0, 1, 0, 1, 0, 1, -1])
    split = split_rows(truth, 3, np.random.default_rng(0))
    (part,) = split.parts
    assert part.learn.tolist() == [True] * 4 + [False] * 3
    assert part.ask.tolist() == [False] * 4 + [True] * 3
    assert split.final.tolist() == part.learn.tolist()
    assert split.is_checked_as_served
    assert split.trainings == 1
    assert split.asked.tolist() == [4, 5, 6]


def test_of_few_rows_each_is_asked_about_once_by_who_has_not_learned_from_it() -> None:
    truth = np.random.default_rng(1).integers(0, 7, 300)
    split = split_rows(truth, 0, np.random.default_rng(0))
    assert len(split.parts) == 5
    assert np.sum([part.ask for part in split.parts], axis=0).tolist() == [1] * 300
    assert all((part.learn ^ part.ask).all() for part in split.parts)
    assert sorted(split.asked.tolist()) == list(range(300))
    assert split.final.all()
    assert not split.is_checked_as_served
    assert split.trainings == 6


def test_of_many_rows_a_tenth_is_asked_about() -> None:
    truth = np.repeat(np.arange(20), 150)
    split = split_rows(truth, 0, np.random.default_rng(0))
    (part,) = split.parts
    assert part.ask.sum() == 300
    assert (part.learn ^ part.ask).all()
    assert split.trainings == 2


@pytest.mark.parametrize("rows", [30, 3_000])
def test_labels_are_held_out_alike(rows: int) -> None:
    truth = np.repeat(np.arange(3), rows // 3)
    for part in split_rows(truth, 0, np.random.default_rng(0)).parts:
        assert np.ptp(np.bincount(truth[part.ask], minlength=3)) == 0


def test_two_rows_of_a_label_are_never_held_out_together() -> None:
    truth = np.repeat(np.arange(9), 2)
    for seed in range(20):
        for part in split_rows(truth, 0, np.random.default_rng(seed)).parts:
            assert set(truth[part.learn]) == set(range(9))


def test_the_same_generator_gives_the_same_parts() -> None:
    truth = np.arange(100) % 4
    first, again, other = (split_rows(truth, 0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.asked.tolist() == again.asked.tolist() != other.asked.tolist()


def test_progress_of_the_parts_is_one() -> None:
    calls: list[tuple[int, int]] = []
    for number in range(3):
        report = report_part(lambda *call: calls.append(call), number, 3)
        report(5, 10)
        report(10, 10)
    assert calls == [(5, 30), (10, 30), (15, 30), (20, 30), (25, 30), (30, 30)]
