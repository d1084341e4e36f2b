"""loadtest.quality.choose and .agreement: what is repeated, and what that says of the run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from loadtest.quality.agreement import accuracy, agreement, regret
from loadtest.quality.choose import choose
from loadtest.run import Repeat
from loadtest.sample import RUNGS
from loadtest.view import view
from tests.fabricated import MS, fabricate

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.view import View

LADDER = ("large", "small", "cache", "rules", "default")


def repeat(row: int, rung: str, *, same: bool | None, route: str = "cards", reference: str = "cards") -> Repeat:
    return Repeat(row=row, rung=rung, route=route, reference=reference, reference_rung="large", same=same)


def ladder(path: Path, rungs: np.ndarray, degraded: np.ndarray | None = None) -> View:
    """A run in which only `large` answers in full."""
    told = np.where(rungs == "large", "none", "overload") if degraded is None else degraded
    return view(fabricate(path, np.full(len(rungs), MS), rung=rungs, degraded=told))


def test_what_was_answered_in_full_is_not_asked_again(tmp_path: Path) -> None:
    rungs = np.array(["large", "guard", "cache", "cache", "small", "default"])
    degraded = np.array(["none", "none", "none", "overload", "budget", "error"])
    seen = ladder(tmp_path, rungs, degraded)
    assert sorted(choose(seen, 10, np.random.default_rng(1)).tolist()) == [3, 4, 5]


def test_what_was_not_answered_is_not_asked_again(tmp_path: Path) -> None:
    run = fabricate(tmp_path, np.full(3, MS), status=[503, 200, -1], rung="small", degraded="budget")
    assert choose(view(run), 10, np.random.default_rng(1)).tolist() == [1]


def test_each_rung_has_its_share_and_a_seed_repeats_the_choice(tmp_path: Path) -> None:
    rungs = np.array(["small"] * 200 + ["rules"] * 3 + ["large"] * 50)
    seen = ladder(tmp_path, rungs)
    rows = choose(seen, 150, np.random.default_rng(7))
    assert sorted(np.unique(rungs[rows], return_counts=True)[1].tolist()) == [3, 150]
    assert len(set(rows.tolist())) == len(rows) == 153
    assert (rows == choose(seen, 150, np.random.default_rng(7))).all()
    assert (rows != choose(seen, 150, np.random.default_rng(8))).any()


def test_each_degraded_answer_is_as_likely_as_another(tmp_path: Path) -> None:
    seen = ladder(tmp_path, np.array(["small"] * 10))
    rng = np.random.default_rng(3)
    drawn = np.bincount(np.concatenate([choose(seen, 3, rng) for _ in range(3_000)]), minlength=10)
    # 900 each, with a standard deviation of 25.
    assert abs(drawn - 900).max() < 120


def test_a_rung_counts_as_much_as_it_answered(tmp_path: Path) -> None:
    """As many repeats of each, but nine in ten of the degraded answers came from `small`."""
    rungs = np.array(["small"] * 900 + ["rules"] * 100 + ["large"] * 1_000)
    repeats = [repeat(row, "small", same=True) for row in range(50)]
    repeats += [repeat(900 + row, "rules", same=False) for row in range(50)]
    found = agreement(ladder(tmp_path, rungs), repeats)
    assert (found.rungs["small"].value, found.rungs["rules"].value) == (1.0, 0.0)
    assert found.degraded.value == pytest.approx(0.9)
    assert found.answers.value == pytest.approx(0.95)
    assert (found.answers.count, found.answers.total) == (1_100, 2_000)
    assert found.degraded.low < 0.9 < found.degraded.high


def test_of_a_rung_that_nobody_asked_again_anything_may_be_true(tmp_path: Path) -> None:
    rungs = np.array(["small"] * 600 + ["rules"] * 400)
    found = agreement(ladder(tmp_path, rungs), [repeat(row, "small", same=True) for row in range(600)])
    assert math.isnan(found.rungs["rules"].value)
    assert found.degraded.value == 1.0
    assert 0.59 < found.degraded.low < 0.6
    assert found.degraded.high == 1.0


def test_repeats_without_reference_and_of_other_phases_say_nothing(tmp_path: Path) -> None:
    seen = ladder(tmp_path, np.array(["small"] * 10))
    repeats = [repeat(0, "small", same=True), repeat(1, "small", same=None), repeat(9, "small", same=False)]
    found = agreement(seen.where(np.arange(10) < 5), repeats)
    assert (found.rungs["small"].value, found.rungs["small"].count, found.rungs["small"].total) == (1.0, 1, 5)


def test_nothing_degraded_agrees_and_nothing_answered_is_unknown(tmp_path: Path) -> None:
    full = agreement(ladder(tmp_path / "a", np.array(["large"] * 5)), [])
    assert (full.answers.low, full.answers.value, full.answers.high) == (1.0, 1.0, 1.0)
    assert math.isnan(full.degraded.value)
    none = agreement(view(fabricate(tmp_path / "b", np.full(3, -1))), [])
    assert math.isnan(none.answers.value)


def test_the_interval_covers_the_truth(tmp_path: Path) -> None:
    """G15: 200 ladders of which it is known how often each rung disagrees."""
    covered = np.zeros(2, int)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rungs = rng.choice(LADDER, 4_000, p=rng.dirichlet((4, 4, 2, 2, 1)))
        agrees = np.select(
            [rungs == name for name in LADDER], (1.0, *rng.uniform((0.9, 0.7, 0.3, 0), (1, 1, 0.9, 0.4)))
        )
        same = rng.random(len(rungs)) < agrees
        seen = ladder(tmp_path / str(seed), rungs)
        rows = choose(seen, 60, rng)
        found = agreement(seen, [repeat(row, str(rungs[row]), same=bool(same[row])) for row in rows.tolist()])
        truths = same[rungs != "large"].mean(), same.mean()
        for at, (estimate, truth) in enumerate(zip((found.degraded, found.answers), truths, strict=True)):
            covered[at] += estimate.low <= truth <= estimate.high
    assert covered.min() >= 0.93 * 200


def test_accuracy_is_counted_where_the_right_route_is_known(tmp_path: Path) -> None:
    # By its making, each row is answered with its payload's label, and without a route where there is none.
    run = fabricate(tmp_path, np.full(6, MS), rung=["large", "large", "small"] * 2, labels=("cards", "loans", None))
    assert {name: each.value for name, each in accuracy(view(run), run.payloads).items()} == {"large": 1.0}
    swapped = tuple(each._replace(label="cards") for each in run.payloads)
    found = accuracy(view(run), swapped)
    assert (found["large"].value, found["large"].count) == (0.5, 4)
    assert (found["small"].value, found["small"].count) == (0.0, 2)


def test_who_was_not_answered_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    run = fabricate(tmp_path, np.full(4, MS), status=[200, 503, 500, 200])
    assert accuracy(view(run), run.payloads)["large"].count == 2


def test_a_label_that_nobody_answered_with_is_wrong_everywhere(tmp_path: Path) -> None:
    run = fabricate(tmp_path, np.full(2, MS))
    foreign = tuple(each._replace(label="parcels") for each in run.payloads)
    assert accuracy(view(run), foreign)["large"].value == 0.0


def test_regret_is_what_the_reference_had_known_better(tmp_path: Path) -> None:
    run = fabricate(tmp_path, np.full(100, MS), rung="small", degraded="budget", labels=("cards",))
    wrong = tuple(each._replace(label="loans") for each in run.payloads)  # all answers were `cards`
    repeats = [repeat(row, "small", same=row >= 30, reference="loans" if row < 30 else "cards") for row in range(100)]
    found = regret(view(run), wrong, repeats)["small"]
    assert (found.value, found.count) == (0.3, 100)
    assert 0.2 < found.low < 0.3 < found.high < 0.4
    # Where the answer was right and the reference is not, degrading has paid.
    assert regret(view(run), run.payloads, repeats)["small"].value == -0.3


def test_the_words_for_rungs_are_those_of_the_contract() -> None:
    assert set(LADDER) < set(RUNGS)
