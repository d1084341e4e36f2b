"""The trainer, on data made so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from models.features import Features
from models.spec import FeatureSpec
from models.table import Rows, Settings, Table, count_ids, fit, merge


def _silent(_done: int, _total: int) -> None:
    pass


def test_ids_are_counted() -> None:
    spec = FeatureSpec(bits=10)
    counts = count_ids(["card card", "", "x"], Features(spec), spec.buckets)
    ids = Features(spec).ids("card card")
    assert counts.shape == (3, 1_024)
    assert counts[0].toarray()[0].tolist() == np.bincount(ids, minlength=1_024).tolist()
    assert counts[1].sum() == 2  # the pairs of start and end, of words and of stems


def test_logits_by_hand() -> None:
    table = Table(
        rows=np.array([[1], [2], [4]], np.float32),
        head=np.array([[1, -1]], np.float32),
        bias=np.array([0, 10], np.float32),
    )
    counts = sparse.csr_matrix(np.array([[2, 0, 2], [0, 1, 0]], np.float32))
    assert table.logits(counts).tolist() == [[5, 5], [2, 8]]


def test_a_word_that_decides_is_learned() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2, (200, 30))
    truth = rng.integers(0, 3, 200)
    decisive = np.eye(3, dtype=np.int64)[truth]
    counts = sparse.csr_matrix(np.hstack([decisive, noise]).astype(np.float32))
    table = fit(Rows(counts[:100], truth[:100]), 3, Settings(members=2), np.random.default_rng(1), _silent)
    assert (table.logits(counts[100:]).argmax(axis=1) == truth[100:]).mean() > 0.9


def test_ids_never_seen_count_for_nothing() -> None:
    counts = sparse.csr_matrix(np.array([[1, 0, 0], [0, 1, 0]], np.float32))
    settings = Settings(min_steps=10)
    table = fit(Rows(counts, np.array([0, 1])), 2, settings, np.random.default_rng(0), _silent)
    assert (table.rows[2] == 0).all()
    assert np.abs(table.rows[:2]).max() > 0


@pytest.mark.parametrize(("rows", "epochs", "least", "expected"), [(10, 2, 7, 7), (10, 5, 7, 15), (4, 5, 1, 5)])
def test_the_number_of_steps(rows: int, epochs: int, least: int, expected: int) -> None:
    counts = sparse.identity(rows, dtype=np.float32, format="csr")
    settings = Settings(members=1, epochs=epochs, batch=4, min_steps=least)
    calls: list[tuple[int, int]] = []
    examples = Rows(counts, np.zeros(rows, np.int64))
    fit(examples, 2, settings, np.random.default_rng(0), lambda *call: calls.append(call))
    assert calls == [(done, expected) for done in range(1, expected + 1)]


@pytest.mark.parametrize("labels", [2, 5])
def test_merged_tables_score_as_their_mean(labels: int) -> None:
    rng = np.random.default_rng(3)
    members = [
        Table(
            rows=rng.normal(size=(40, 6)).astype(np.float32),
            head=rng.normal(size=(6, labels)).astype(np.float32),
            bias=rng.normal(size=labels).astype(np.float32),
        )
        for _ in range(3)
    ]
    counts = sparse.csr_matrix(rng.integers(0, 3, (10, 40)).astype(np.float32))
    expected = np.mean([member.logits(counts) for member in members], axis=0)
    merged = merge(members, width=8)
    assert merged.rows.shape == (40, labels)
    assert merged.logits(counts) == pytest.approx(expected, abs=1e-3)


def test_merging_to_fewer_columns_keeps_the_strongest() -> None:
    strong, weak = np.array([[9.0, 0], [0, 0], [0, 0]]), np.array([[0, 0], [0, 1.0], [0, 0]])
    member = Table(
        rows=(strong + weak).astype(np.float32), head=np.eye(2, dtype=np.float32), bias=np.zeros(2, np.float32)
    )
    merged = merge([member], width=1)
    assert merged.rows @ merged.head == pytest.approx(strong, abs=1e-3)
