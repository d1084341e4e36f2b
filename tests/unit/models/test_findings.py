"""Findings by hand, against brute force, and with wrong labels put in on purpose."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.calibrate import softmax
from models.errors import DataError
from models.findings import Checked, RungCheck, find
from models.findings.checked import SHOWN
from models.findings.confusion import BLOCK_ROUTES
from models.findings.coverage import WANTED, assess
from models.findings.label import find_suspects
from models.findings.twin import FLOORS, _fold, _nearest, find_twins, weigh

_LABELS = ("a", "b", "oos")


def _shares(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def _checked(truth: list[int], shares: NDArray[np.float32], threshold: float = 0.5) -> Checked:
    texts = [f"text number {i}" for i in range(len(truth))]
    return Checked(_LABELS, texts, np.array(truth), [RungCheck("small", shares, threshold)])


def _guesses(rng: np.random.Generator, truth: NDArray[np.int64], labels: int) -> NDArray[np.float32]:
    """Probabilities of a model that is right in some nine of ten cases."""
    logits = rng.normal(0, 1, (len(truth), labels))
    logits[np.arange(len(truth)), truth] += 4
    return softmax(logits.astype(np.float32))


def test_wrong_labels_put_in_come_first() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 10, 1_000)
    shares = _guesses(rng, truth, 10)
    changed = rng.choice(1_000, 50, replace=False)
    given = truth.copy()
    given[changed] = (truth[changed] + rng.integers(1, 10, 50)) % 10
    suspects = find_suspects(shares, given)
    found = np.isin(suspects.row, changed)
    assert found[:20].mean() >= 0.95
    assert found.sum() >= 35
    assert (suspects.likely[:20] == truth[suspects.row[:20]]).mean() >= 0.95
    assert len(find_suspects(shares, truth).row) < 25


def test_suspects_by_hand() -> None:
    shares = _shares((0.9, 0.1, 0), (0.9, 0.1, 0), (0.1, 0.9, 0), (0.2, 0.8, 0), (0.95, 0.05, 0), (0.55, 0.45, 0))
    suspects = find_suspects(shares, np.array([0, 0, 1, 1, 1, 1]))
    # Usual: a .9, b .55. The last row is unsure of b, but not as sure of a as it usually is there.
    assert suspects.row.tolist() == [4]
    assert suspects.likely.tolist() == [0]


def test_the_rows_furthest_behind_come_first() -> None:
    shares = _shares((0.9, 0.1, 0), (0.9, 0.1, 0), (0.1, 0.9, 0), (0.2, 0.8, 0), (0.9, 0.1, 0), (0.95, 0.05, 0))
    assert find_suspects(shares, np.array([0, 0, 1, 1, 1, 1])).row.tolist() == [5, 4]


def test_a_label_that_is_hard_to_learn_is_not_suspicious_for_that() -> None:
    # Usual: a .6, b .3. The last row looks more like a than like b, but is as much of a b as the others are.
    shares = _shares((0.6, 0.2, 0.2), (0.6, 0.2, 0.2), (0.35, 0.28, 0.37), (0.62, 0.32, 0.06))
    assert find_suspects(shares, np.array([0, 0, 1, 1])).row.tolist() == []


def test_labels_without_rows_are_not_suggested_and_rows_without_labels_are_not_suspected() -> None:
    shares = _shares((0.1, 0.1, 0.8), (0.9, 0.1, 0), (0.9, 0.1, 0), (0.8, 0.2, 0))
    assert find_suspects(shares, np.array([0, 0, -1, -1])).row.tolist() == []


def test_coverage_by_hand() -> None:
    shares = _shares((0.9, 0.1, 0), (0.8, 0.2, 0), (0.8, 0.2, 0), (0.3, 0.7, 0), (0.2, 0.2, 0.6), (0.75, 0.25, 0))
    truth = np.array([0, 0, 1, 1, 0, 2])
    rung = assess(RungCheck("small", shares, 0.75), truth, _LABELS)
    assert rung.accuracy == pytest.approx(3 / 5)
    assert rung.at_threshold is not None
    assert rung.at_threshold.kept_share == pytest.approx(3 / 5)
    assert rung.at_threshold.accuracy == pytest.approx(2 / 3)
    assert rung.at_threshold.confidence == pytest.approx(0.8)
    assert (rung.oos_kept, rung.oos_total) == (1, 1)
    # Fewer than 20 rows: one point, all that is answered with a route.
    assert [(point.kept_share, point.accuracy) for point in rung.curve] == [(0.8, 0.75)]
    assert sum(each.rows for each in rung.bins) == 5


def test_what_is_unlike_all_routes_is_kept_at_no_threshold() -> None:
    shares = _shares((0.9, 0.1, 0), (0.8, 0.2, 0), (0.9, 0.1, 0), (0.7, 0.3, 0))
    truth = np.array([0, 0, 2, 2])
    rung = assess(RungCheck("large", shares, 0.5, np.array([True, False, False, True])), truth, _LABELS)
    assert rung.accuracy == 1
    assert rung.at_threshold is not None
    assert (rung.at_threshold.kept_share, rung.curve[-1].kept_share) == (0.5, 0.5)
    assert (rung.oos_kept, rung.oos_total) == (1, 2)


def test_a_curve_has_a_point_for_each_confidence_and_ties_stay_together() -> None:
    confidence = np.repeat(np.linspace(0.99, 0.6, 40), 10).astype(np.float32)
    right = np.arange(400) < 300
    shares = np.stack(
        [np.where(right, confidence, 1 - confidence), np.where(right, 1 - confidence, confidence)], axis=1
    )
    rung = assess(RungCheck("small", shares, 0), np.zeros(400, np.int64), ("a", "b"))
    assert len(rung.curve) == 39  # the first ten rows are too few
    assert rung.curve[-1].kept_share == 1
    assert rung.curve[-1].accuracy == pytest.approx(0.75)
    reached = {wanted: point for wanted, point in zip(WANTED, rung.choices, strict=True) if point is not None}
    assert reached[0.9].kept_share == pytest.approx(330 / 400)
    assert reached[0.9].accuracy == pytest.approx(300 / 330)
    assert reached[0.99].kept_share == pytest.approx(300 / 400)


def test_accuracies_out_of_reach_have_no_threshold() -> None:
    shares = np.tile(_shares((0.8, 0.2)), (40, 1))
    rung = assess(RungCheck("small", shares, 0.9), np.arange(40) % 2, ("a", "b"))
    assert rung.choices == (None,) * len(WANTED)
    assert rung.at_threshold is None


def test_curves_are_bounded() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 5_000)
    rung = assess(RungCheck("small", _guesses(rng, truth, 3), 0.5), truth, ("a", "b", "c"))
    assert 150 <= len(rung.curve) <= 200
    assert rung.curve[-1].kept_share == 1
    assert rung.curve[-1].accuracy == pytest.approx(rung.accuracy)


def test_confusions_by_hand() -> None:
    right_a, wrong_a, unsure_a = (0.9, 0.1, 0), (0.2, 0.8, 0), (0.45, 0.55, 0)
    shares = _shares(right_a, right_a, right_a, wrong_a, unsure_a, (0.7, 0.3, 0), (0.1, 0.9, 0), (0.6, 0.2, 0.2))
    checked = _checked([0, 0, 0, 0, 0, 1, 1, 2], shares, threshold=0.65)
    found = find(checked, [("one", "a"), ("another", "b"), ("third", "b"), ("no route", "oos")])
    first, *others = found.confusions.shown
    assert (first.route, first.answer, first.rows, first.support, first.sent) == ("a", "b", 2, 5, 1)
    assert first.texts == ("text number 3", "text number 4")
    assert {(each.route, each.answer, each.rows, each.sent) for each in others} == {
        ("b", "a", 1, 1),
        ("oos", "a", 1, 0),
    }
    overlap = found.overlaps.shown[0]
    assert ({overlap.route, overlap.other_route}, overlap.rows) == ({"a", "b"}, 3)
    assert found.overlaps.total == 1  # out of scope is no route to be told apart
    assert (found.held_out, found.mistakes) == (7, 3)
    assert found.block.routes == ("a", "b", "oos")
    assert found.block.rows == ((3, 2, 0), (1, 1, 0), (1, 0, 0))
    by_route = {each.route: each for each in found.routes.shown}
    assert by_route["a"].recall == pytest.approx(3 / 5)
    assert by_route["a"].precision == pytest.approx(3 / 5)
    assert (by_route["a"].examples, by_route["b"].misrouted, by_route["a"].misrouted) == (1, 1, 1)
    assert by_route["oos"].precision is None


def test_out_of_scope_rows_without_a_label_count_where_they_are_sent() -> None:
    shares = _shares((0.9, 0.1), (0.1, 0.9), (0.8, 0.2), (0.6, 0.4))
    checked = Checked(("a", "b"), ["w", "x", "y", "z"], np.array([0, 1, -1, -1]), [RungCheck("small", shares, 0.7)])
    found = find(checked, [("one", "a"), ("two", "b")])
    assert (found.mistakes, found.confusions.total) == (0, 0)
    assert (found.rungs[0].oos_kept, found.rungs[0].oos_total) == (1, 2)
    assert {each.route: each.misrouted for each in found.routes.shown} == {"a": 1, "b": 0}


def test_the_block_holds_whole_pairs_and_the_rest_of_each_row() -> None:
    rng = np.random.default_rng(5)
    labels = tuple(f"route {i:02}" for i in range(40))
    truth = rng.integers(0, 40, 3_000)
    shares = _guesses(rng, truth, 40)
    checked = Checked(labels, [f"t{i}" for i in range(3_000)], truth, [RungCheck("small", shares, 0.5)])
    found = find(checked, [("one", label) for label in labels])
    block = found.block
    assert 2 <= len(block.routes) <= BLOCK_ROUTES
    for route, row, others in zip(block.routes, block.rows, block.others, strict=True):
        assert sum(row) + others == (truth == labels.index(route)).sum()
    assert len(found.confusions.shown) == SHOWN < found.confusions.total
    assert {found.confusions.shown[0].route, found.confusions.shown[0].answer} <= set(block.routes)


def test_thin_routes_and_clashes_count_their_mistakes() -> None:
    checked = Checked(
        ("a", "b"),
        ["where is my card", "send money", "lost it"],
        np.array([0, 1, 1]),
        [RungCheck("small", _shares((0.4, 0.6), (0.6, 0.4), (0.1, 0.9)), 0.5)],
    )
    many = [(f"{verb} {thing} please", "a") for verb in ("see", "open", "close") for thing in ("door", "gate", "box")]
    same = [("where is my card", "a"), ("Where is my card?", "b")]
    found = find(checked, [*many, *same, ("something else", "a"), ("send money", "b")])
    assert [each.route for each in found.thin.shown] == ["b"]
    assert found.thin_mistakes == 1
    clash = found.clashes.shown[0]
    assert {(clash.text, clash.route), (clash.other_text, clash.other_route)} == {
        ("where is my card", "a"),
        ("Where is my card?", "b"),
    }
    assert (found.clashes.total, found.clash_mistakes) == (1, 1)


def test_vectors_find_what_spelling_does_not() -> None:
    rows = [("i want my money back", "refund"), ("please reimburse me", "payment"), ("how tall is it", "payment")]
    vectors = _shares((1, 0), (0.97, 0.243), (0, 1))
    checked = Checked(
        ("payment", "refund"),
        [text for text, _ in rows],
        np.array([1, 0, 0]),
        [RungCheck("large", _shares((0.1, 0.9), (0.9, 0.1), (0.9, 0.1)), 0.5)],
        vectors,
    )
    assert find(checked._replace(vectors=None), rows).clashes.total == 0
    clashes = find(checked, rows).clashes
    assert [(each.way, round(each.cosine, 2)) for each in clashes.shown] == [("meaning", 0.97)]


def test_a_pair_alike_in_both_ways_is_told_once() -> None:
    rows = [("where is my card", "a"), ("where is my card?", "b")]
    checked = Checked(
        ("a", "b"),
        [text for text, _ in rows],
        np.array([0, 1]),
        [RungCheck("large", _shares((0.9, 0.1), (0.1, 0.9)), 0.5)],
        _shares((1, 0), (1, 0)),
    )
    assert find(checked, rows).clashes.total == 1


def test_nearest_against_brute_force() -> None:
    rng = np.random.default_rng(2)
    for size in (1, 2, 600):
        rows = rng.normal(size=(size, 3)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        group = rng.integers(0, 7, size)
        cosine = rows @ rows.T
        np.fill_diagonal(cosine, -1)
        expected = set()
        for same in (True, False):
            allowed = np.where((group[:, None] == group) == same, cosine, -1)
            for i, j in enumerate(allowed.argmax(axis=1).tolist()):
                if allowed[i, j] >= 0.99:
                    expected.add((min(i, j), max(i, j)))
        found = _nearest(rows, group, 0.99)
        assert set(zip(found.left.tolist(), found.right.tolist(), strict=True)) == expected
        assert len(found.left) == len(expected)


def test_spelling_finds_the_pairs_that_all_cosines_show() -> None:
    rng = np.random.default_rng(4)
    words = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in ("n", "rt", "st", "ll", "mp", "ck")]
    texts = [" ".join(rng.choice(words, 16)) for _ in range(150)]
    texts += [text.replace(" ", " so ", 1 + i % 4) for i, text in enumerate(texts[:80])]
    routes = [f"r{i % 4}" for i in range(len(texts))]
    grams = weigh(texts)
    cosine = (grams @ grams.T).toarray()
    expected = {
        frozenset({texts[i], texts[j]})
        for i, j in np.argwhere(np.triu(cosine, 1) >= FLOORS["spelling"]).tolist()
        if routes[i] != routes[j]
    }
    found, compared = find_twins(texts, routes)
    assert {frozenset({twin.text, twin.other_text}) for twin in found if twin.route != twin.other_route} == expected
    assert (len(expected) > 20, compared) == (True, len(texts))
    assert [twin.rank for twin in found] == sorted((twin.rank for twin in found), reverse=True)
    # What finds candidates is off by little where it matters.
    folded = _fold(grams)
    near = np.triu(cosine, 1) >= FLOORS["spelling"]
    assert np.abs((folded @ folded.T)[near] - cosine[near]).max() < 0.08


def test_many_alike_make_few_pairs() -> None:
    texts, routes = ["the same words"] * 1_000, ["a", "b"] * 500
    found, _ = find_twins(texts, routes)
    assert 1 <= len(found) <= 2_000


def test_nothing_in_scope() -> None:
    with pytest.raises(DataError, match="no held-out row is in scope"):
        find(_checked([2, 2], _shares((1, 0, 0), (0, 0, 1))), [("x", "a"), ("y", "oos")])
