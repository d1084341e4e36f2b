"""From a trained rung to a manifest: what tells the known from the unknown, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from models import calibrate
from models.candidate import Candidate, HeldOut, Nodes, Terms, Unknowns, familiarity_of, finish, pick_measure
from models.classifier import Classifier
from models.errors import QualityRefused
from models.evaluate import auroc
from models.features import Features
from models.graph import FLOAT, Graph
from models.spec import OUT_OF_SCOPE, FeatureSpec, verify

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.spec import RungManifest

    Array = NDArray[np.float32]

_LABELS = ("a", "b", OUT_OF_SCOPE)
_ROUTES = ("a", "b", "c")
_FEATURES = FeatureSpec(bits=8)
_SAMPLE = ("send money", "lost card", "", "hello there")


def _logits(shares: Array, answers: NDArray[np.int64]) -> Array:
    """Logits at which `answers` have `shares`, and the other two labels what is left."""
    left = np.repeat((1 - shares)[:, None] / 2, 3, axis=1)
    left[np.arange(len(shares)), answers] = shares
    return np.log(left).astype(np.float32)


def _held_out(known: Array, unknown: Array, known_cosine: Array, unknown_cosine: Array) -> HeldOut:
    """Rows of both routes in turn, answered right with a share of `known`, and rows of none."""
    answers = np.arange(len(known) + len(unknown)) % 2
    logits = _logits(np.concatenate([known, unknown]), answers)
    truth = np.where(np.arange(len(answers)) < len(known), answers, 2)
    return HeldOut(logits, logits, truth, np.concatenate([known_cosine, unknown_cosine]).astype(np.float32))


def _asked(held_out: HeldOut, unknowns: Unknowns | None = None) -> Candidate:
    """A candidate of which only the answers matter."""
    return Candidate("large", held_out, _add_nothing, (), np.empty((0, 3), np.float32), unknowns=unknowns)


def _add_nothing(_graph: Graph, _int8: bool) -> Nodes:
    raise AssertionError("no graph is written here")


def _kept_back(held_out: HeldOut) -> Unknowns:
    """The same answers, the rows of none being of a route that was kept back."""
    return Unknowns(_ROUTES, held_out._replace(truth=np.where(held_out.truth == 2, -1, held_out.truth)))


def _steps(low: float, high: float, count: int = 40) -> Array:
    return np.linspace(low, high, count, dtype=np.float32)


@pytest.mark.parametrize(
    ("known", "unknown", "known_cosine", "unknown_cosine", "measure"),
    [
        pytest.param(_steps(0.5, 0.9), _steps(0.5, 0.9), _steps(0.6, 0.9), _steps(0.1, 0.5), "cosine", id="cosine"),
        pytest.param(_steps(0.7, 0.9), _steps(0.4, 0.6), _steps(0.1, 0.9), _steps(0.1, 0.9), "share", id="share"),
        pytest.param(_steps(0.7, 0.9), _steps(0.4, 0.6), _steps(0.6, 0.9), _steps(0.1, 0.5), "share", id="a tie"),
        pytest.param(_steps(0.5, 0.9), _steps(0.4, 0.8), _steps(0.9, 0.5), _steps(0.8, 0.4), "both", id="both"),
    ],
)
def test_what_tells_best_is_picked(
    known: Array, unknown: Array, known_cosine: Array, unknown_cosine: Array, measure: str
) -> None:
    held_out = _held_out(known, unknown, known_cosine, unknown_cosine)
    assert pick_measure(_asked(held_out), _LABELS, 1.0) == measure


def test_a_gain_that_is_not_clear_is_no_second_threshold() -> None:
    known, unknown = _steps(0.5, 0.9, 200), _steps(0.4, 0.8, 200)
    cosines = [known.copy(), unknown.copy()]
    cosines[1][-1:] -= 0.2
    held_out = _held_out(known, unknown, *cosines)
    in_scope = held_out.truth < 2
    gain = auroc(*cosines) - auroc(known, unknown)
    assert 0 < gain < 0.005
    assert held_out.cosine is not None
    assert auroc(held_out.cosine[in_scope], held_out.cosine[~in_scope]) == auroc(*cosines)
    assert pick_measure(_asked(held_out), _LABELS, 1.0) == "share"


@pytest.mark.parametrize("truth", [[0, 0], [2, 2]])
def test_rows_of_one_kind_tell_nothing(truth: list[int]) -> None:
    logits = _logits(np.array([0.5, 0.6], np.float32), np.array(truth))
    held_out = HeldOut(logits, logits, np.array(truth), np.array([0.9, 0.1], np.float32))
    assert pick_measure(_asked(held_out), _LABELS, 1.0) == "share"


def test_a_rung_without_a_cosine_is_told_by_its_shares() -> None:
    held_out = _held_out(_steps(0.5, 0.9), _steps(0.5, 0.9), _steps(0, 1), _steps(0, 1))._replace(cosine=None)
    assert pick_measure(_asked(held_out), _LABELS, 1.0) == "share"
    assert familiarity_of("cosine", held_out, _LABELS, 1.0) is None


def test_the_sum_is_of_the_cosine_and_the_likeliest_routes_share() -> None:
    logits = np.log(np.array([[0.2, 0.3, 0.5]], np.float32))
    held_out = HeldOut(logits, logits, np.array([0]), np.array([0.4], np.float32))
    assert familiarity_of("both", held_out, _LABELS, 1.0) == pytest.approx([0.7])  # oos is no route
    assert familiarity_of("cosine", held_out, _LABELS, 1.0) == pytest.approx([0.4])
    assert familiarity_of("share", held_out, _LABELS, 1.0) is None


class _Layer(NamedTuple):
    """A rung that counts n-grams: a row of logits for each id."""

    rows: Array

    def logits(self, texts: tuple[str, ...] = _SAMPLE) -> Array:
        features = Features(_FEATURES)
        return np.stack([self.rows[features.ids(text)].sum(axis=0) for text in texts])

    def cosine(self, text: str) -> float:
        return 0.01 * float(self.logits((text,))[0, 0])

    def add(self, graph: Graph, _int8: bool) -> Nodes:
        rows = graph.node("Gather", graph.constant(self.rows), "ids")
        kept = graph.node("Mul", "length", graph.constant(0))  # the input has to be there
        logits = graph.node("Add", graph.node("MatMul", graph.node("Cast", "member", to=FLOAT), rows), kept)
        first = graph.node("Gather", logits, graph.constant(np.array(0, np.int64)), axis=-1)
        return Nodes(logits, graph.node("Mul", first, graph.constant(0.01)))


@pytest.fixture
def layer() -> _Layer:
    return _Layer(np.random.default_rng(2).normal(size=(256, 3)).astype(np.float32))


def _candidate(layer: _Layer, held_out: HeldOut) -> Candidate:
    return Candidate("small", held_out, layer.add, _SAMPLE, layer.logits(), features=_FEATURES)


def _answers(rows: int, wrong: int, cosine: Array | None = None, *, fp32_wrong: int | None = None) -> HeldOut:
    """Rows of both routes in turn, the last `wrong` of them answered wrong with little confidence."""
    truth = np.arange(rows) % 2

    def logits(mistakes: int) -> Array:
        sure = np.where(np.arange(rows) < rows - mistakes, 3.0, -0.5).astype(np.float32)
        return np.stack(
            [np.where(truth == 0, sure, 0), np.where(truth == 1, sure, 0), np.full(rows, -5.0)], axis=1
        ).astype(np.float32)

    return HeldOut(logits(wrong), logits(wrong if fp32_wrong is None else fp32_wrong), truth, cosine)


def _finish(given: Candidate, out_dir: Path, kept_accuracy: float = 0.95) -> RungManifest:
    return finish(given, Terms(_LABELS, kept_accuracy), out_dir)[0]


def test_a_manifest_says_what_was_measured_and_where_it_is(layer: _Layer, tmp_path: Path) -> None:
    rung = _finish(_candidate(layer, _answers(200, 20, fp32_wrong=19)), tmp_path)
    assert (rung.name, rung.file, rung.fp32_file) == ("small", "small.onnx", "small.fp32.onnx")
    assert rung.bytes == len(verify(tmp_path / rung.file, rung.sha256))
    assert rung.fp32_file is not None
    assert rung.fp32_sha256 is not None
    verify(tmp_path / rung.fp32_file, rung.fp32_sha256)
    assert rung.accuracy == 0.9
    assert rung.accuracy_fp32 == pytest.approx(0.905)
    assert rung.auroc_oos is None
    assert rung.familiarity is None
    held_out = _answers(200, 20)
    assert rung.temperature == calibrate.fit_temperature(held_out.int8, held_out.truth)
    assert 0 < rung.p50_us <= rung.p99_us


def test_the_threshold_keeps_what_shall_be_right(layer: _Layer, tmp_path: Path) -> None:
    held_out = _answers(200, 20)
    strict, lax = (_finish(_candidate(layer, held_out), tmp_path, kept) for kept in (0.99, 0.85))
    shares = calibrate.softmax(held_out.int8, strict.temperature).max(axis=1)
    assert (shares >= strict.threshold).sum() == 180
    assert lax.threshold == 0


def test_answers_out_of_scope_do_not_raise_the_threshold(layer: _Layer, tmp_path: Path) -> None:
    truth = np.arange(100) % 2
    answers = np.where(np.arange(100) < 80, truth, 2)
    logits = _logits(np.where(answers == 2, 0.8, 0.7).astype(np.float32), answers)
    rung = _finish(_candidate(layer, HeldOut(logits, logits, truth)), tmp_path)
    assert rung.accuracy == 0.8
    assert rung.threshold == 0


def test_what_was_said_of_the_held_out_rows_comes_back_calibrated(layer: _Layer, tmp_path: Path) -> None:
    held_out = _held_out(_steps(0.5, 0.9, 100), _steps(0.5, 0.9, 50), _steps(0.5, 0.9, 100), _steps(0.1, 0.4, 50))
    rung, check = finish(_candidate(layer, held_out), Terms(_LABELS, 0.95), tmp_path)
    assert (check.name, check.threshold) == ("small", rung.threshold)
    assert check.shares == pytest.approx(calibrate.softmax(held_out.int8, rung.temperature))
    assert check.familiar is not None
    assert held_out.cosine is not None
    assert rung.familiarity is not None
    assert check.familiar.tolist() == (held_out.cosine >= rung.familiarity).tolist()
    assert check.familiar.sum() == 98
    plain = finish(_candidate(layer, held_out._replace(cosine=None)), Terms(_LABELS, 0.95), tmp_path)[1]
    assert plain.familiar is None


def test_a_cosine_that_tells_becomes_the_second_output(layer: _Layer, tmp_path: Path) -> None:
    known, unknown = _steps(0.5, 0.9, 100), _steps(0.5, 0.9, 50)
    held_out = _held_out(known, unknown, _steps(0.5, 0.9, 100), _steps(0.1, 0.4, 50))
    rung = _finish(_candidate(layer, held_out), tmp_path)
    assert rung.familiarity == pytest.approx(np.quantile(_steps(0.5, 0.9, 100), 0.02), abs=1e-4)
    assert rung.auroc_oos == 1
    assert rung.threshold == 0  # those out of scope are taken nowhere, however sure their routes look
    classifier = Classifier(_LABELS, rung, tmp_path, (tmp_path / rung.file).read_bytes())
    for text in _SAMPLE:
        assert classifier.scores(text).familiarity == pytest.approx(layer.cosine(text), abs=1e-5)


def test_the_sum_is_what_the_graph_computes_too(layer: _Layer, tmp_path: Path) -> None:
    held_out = _held_out(_steps(0.5, 0.9, 100), _steps(0.4, 0.8, 100), _steps(0.9, 0.5, 100), _steps(0.8, 0.4, 100))
    rung = _finish(_candidate(layer, held_out), tmp_path)
    classifier = Classifier(_LABELS, rung, tmp_path, (tmp_path / rung.file).read_bytes())
    for text in _SAMPLE:
        scores = classifier.scores(text)
        share = calibrate.softmax(scores.logits, rung.temperature)[:2].max()
        assert scores.familiarity == pytest.approx(layer.cosine(text) + share, abs=1e-4)


@pytest.mark.parametrize(
    ("unknown_cosine", "measure"),
    [
        pytest.param(_steps(0.1, 0.5), "both", id="better"),
        pytest.param(_steps(0.5, 0.63), "both", id="hardly worse: .99"),
        pytest.param(_steps(0.6, 0.71), "share", id="clearly worse: .87"),
    ],
)
def test_texts_of_routes_kept_back_stand_for_what_is_out_of_scope(unknown_cosine: Array, measure: str) -> None:
    nothing_outside = _answers(100, 5, _steps(0.5, 0.9, 100))
    unknowns = _kept_back(_held_out(_steps(0.7, 0.9), _steps(0.5, 0.69), _steps(0.6, 0.7), unknown_cosine))
    assert pick_measure(_asked(nothing_outside, unknowns), _ROUTES, 1.0) == measure
    assert pick_measure(_asked(nothing_outside), _ROUTES, 1.0) == "share"


def test_rows_out_of_scope_tell_before_routes_kept_back() -> None:
    outside = _held_out(_steps(0.7, 0.9), _steps(0.4, 0.6), _steps(0.1, 0.9), _steps(0.1, 0.9))
    unknowns = _kept_back(_held_out(_steps(0.5, 0.9), _steps(0.5, 0.9), _steps(0.6, 0.9), _steps(0.1, 0.5)))
    assert pick_measure(_asked(outside, unknowns), _LABELS, 1.0) == "share"
    assert pick_measure(_asked(_answers(100, 5, _steps(0.5, 0.9, 100)), unknowns), _ROUTES, 1.0) == "both"


def test_another_graph_than_what_was_trained_is_refused(layer: _Layer, tmp_path: Path) -> None:
    given = _candidate(layer, _answers(100, 5))
    expected = given.expected.copy()
    expected[1, 2] += 0.015  # a value that falls on another int8
    _finish(given._replace(expected=expected), tmp_path)
    expected[1, 2] += 0.015
    with pytest.raises(QualityRefused, match=r"small\.onnx: .* other logits .* off by 0\.03 on 'lost card'"):
        _finish(given._replace(expected=expected), tmp_path)


def test_a_loss_by_int8_is_refused(layer: _Layer, tmp_path: Path) -> None:
    with pytest.raises(QualityRefused, match=r"int8 loses 2\.0 points of accuracy on 1000 held-out rows"):
        _finish(_candidate(layer, _answers(1_000, 50, fp32_wrong=30)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_rung_that_knows_nothing_is_refused(layer: _Layer, tmp_path: Path) -> None:
    with pytest.raises(QualityRefused, match=r"small: right on 50\.0 % of 40 held-out rows; to answer always"):
        _finish(_candidate(layer, _answers(40, 20)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_rows_of_one_route_cannot_tell_whether_it_is_always_answered(layer: _Layer, tmp_path: Path) -> None:
    logits = np.tile(np.array([3, 0, -5], np.float32), (40, 1))
    logits[:10, 1] = 4
    one, mixed = np.zeros(40, np.int64), np.array([1] + [0] * 39)
    assert _finish(_candidate(layer, HeldOut(logits, logits, one)), tmp_path).accuracy == 0.75
    with pytest.raises(QualityRefused, match=r"small: right on 77\.5 % of 40 held-out rows; .* 'a' is right 97\.5 %"):
        _finish(_candidate(layer, HeldOut(logits, logits, mixed)), tmp_path)


def test_on_a_handful_of_rows_that_may_be_chance(layer: _Layer, tmp_path: Path) -> None:
    assert _finish(_candidate(layer, _answers(10, 5)), tmp_path).accuracy == 0.5


def test_rows_that_no_label_stands_for_do_not_heat_the_confidence(layer: _Layer, tmp_path: Path) -> None:
    held_out = _answers(100, 5)
    more = HeldOut(
        np.concatenate([held_out.int8, held_out.int8[:20]]),
        np.concatenate([held_out.fp32, held_out.fp32[:20]]),
        np.concatenate([held_out.truth, np.full(20, -1)]),
        None,
    )
    rung = _finish(_candidate(layer, more), tmp_path)
    plain = _finish(_candidate(layer, held_out), tmp_path)
    assert (rung.temperature, rung.accuracy) == (plain.temperature, plain.accuracy)
    assert rung.auroc_oos is not None
    assert rung.threshold > plain.threshold  # they are wrong wherever they are taken
