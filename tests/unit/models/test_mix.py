"""What columns add to logits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models import calibrate
from models.candidate import Candidate, HeldOut, Nodes
from models.columns import Column
from models.data import Example
from models.graph import Graph
from models.mix import _fit, add_columns, fit_mix
from models.task import Task, make_task

Array = NDArray[np.float32]


def _rows(count: int, seed: int, strength: float) -> tuple[Array, Array, NDArray[np.int64]]:
    """Logits that know one of two pairs of labels, and one value that tells the labels of a pair apart."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(4, size=count)
    logits = rng.normal(size=(count, 4)).astype(np.float32)
    for row, label in enumerate(truth):
        logits[row, [label, label ^ 1]] += 4
    encoded = rng.normal(size=(count, 2)).astype(np.float32)
    encoded[:, 0] += np.where(truth % 2 == 0, strength, -strength)
    return logits, encoded, truth


def _accuracy(logits: Array, truth: NDArray[np.int64]) -> float:
    return float((logits.argmax(axis=1) == truth).mean())


def test_a_value_that_tells_is_heard_and_the_text_keeps_its_say() -> None:
    logits, encoded, truth = _rows(800, 0, 2.0)
    mix = fit_mix(logits, encoded, truth, np.random.default_rng(0))
    new_logits, new_encoded, new_truth = _rows(2_000, 1, 2.0)
    mixed = new_logits + new_encoded @ mix.weights
    assert _accuracy(new_logits, new_truth) < 0.6
    assert _accuracy(mixed, new_truth) > 0.9
    assert (mixed.argmax(axis=1) // 2 == new_truth // 2).mean() > 0.95
    assert np.abs(mix.weights[0]).min() > 5 * np.abs(mix.weights[1]).max()  # the second value is noise


def test_a_value_that_tells_nothing_changes_next_to_nothing() -> None:
    logits, encoded, truth = _rows(800, 0, 0.0)
    mix = fit_mix(logits, encoded, truth, np.random.default_rng(0))
    assert np.abs(mix.weights).max() < 0.15
    assert _accuracy(logits + mix.unseen, truth) > _accuracy(logits, truth) - 0.01


def test_figures_are_of_rows_that_the_weights_had_not_seen() -> None:
    rng = np.random.default_rng(4)
    truth = np.arange(60) % 3
    logits = np.zeros((60, 3), np.float32)
    encoded = np.eye(60, dtype=np.float32)  # each row has a value of its own: learned by heart, worth nothing
    mix = fit_mix(logits, encoded, truth, rng)
    assert _accuracy(encoded @ mix.weights, truth) == 1
    assert not mix.unseen.any()


def test_scaled_logits_get_scaled_weights() -> None:
    logits, encoded, truth = _rows(400, 2, 2.0)
    plain = fit_mix(logits, encoded, truth, np.random.default_rng(0))
    hot = fit_mix(logits * 3, encoded, truth, np.random.default_rng(0))
    assert hot.weights == pytest.approx(3 * plain.weights, abs=0.05)


def test_rows_that_no_label_stands_for_teach_nothing_but_are_told() -> None:
    logits, encoded, truth = _rows(400, 3, 2.0)
    truth[::4] = -1
    wild = encoded.copy()
    wild[::4] *= 100
    mix, other = (fit_mix(logits, values, truth, np.random.default_rng(0)) for values in (encoded, wild))
    assert (mix.weights == other.weights).all()
    assert other.unseen[::4] == pytest.approx(100 * mix.unseen[::4], rel=1e-4)
    assert mix.unseen[::4].any()


def test_the_search_ends_where_no_small_step_helps() -> None:
    logits, encoded, truth = _rows(200, 5, 1.0)

    def loss(weights: Array) -> float:
        shares = calibrate.softmax((logits + encoded @ weights).astype(np.float64).astype(np.float32))
        return float(-np.log(shares[np.arange(200), truth]).sum() + 0.5 * (weights**2).sum())

    weights = _fit(logits, encoded, truth, 1.0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = rng.normal(size=weights.shape).astype(np.float32) * 0.05
        assert loss(weights) < loss(weights + step)


def _task(columns: tuple[Column, ...]) -> Task:
    """Thirty rows that check, each with a word of its own."""
    learned = [Example("text", route) for route in "abc" * 2]
    return make_task(learned, [Example("text", "abc"[row % 3], (f"w{row:02}",)) for row in range(30)], 0, columns)


def _add(graph: Graph, _int8: bool) -> Nodes:
    return Nodes(graph.constant(np.zeros((1, 3), np.float32)), None)


def test_a_rung_is_judged_by_logits_that_had_not_seen_the_row() -> None:
    task = _task((Column(name="channel"),))
    held_out = HeldOut(np.zeros((30, 3), np.float32), np.ones((30, 3), np.float32), task.truth[task.split.asked])
    plain = Candidate("small", held_out, _add, ["text"], np.zeros((1, 3), np.float32))
    mixed = add_columns(plain, task, [("w00",)])
    assert not mixed.held_out.int8.any()
    assert (mixed.held_out.fp32 == 1).all()
    assert mixed.expected.argmax() == 0  # what is served has seen it, and knows the word by heart
    assert mixed.expected.max() > 0.1
    assert mixed.columns == task.columns


def test_without_columns_a_rung_stays_what_it_was() -> None:
    task = _task(())
    held_out = HeldOut(np.zeros((30, 3), np.float32), np.ones((30, 3), np.float32), task.truth[task.split.asked])
    plain = Candidate("small", held_out, _add, ["text"], np.zeros((1, 3), np.float32))
    assert add_columns(plain, task, [()]) is plain
