"""Rungs that read what is known beside a text, from rows to answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from models import canary, card, registry
from models.columns import Column, declared
from models.data import Example, digest
from models.encoder.find import Encoder
from models.errors import DataError, ManifestError
from models.evaluate import evaluate
from models.inputs import Question
from models.spec import ColumnSpec, Manifest, read_manifest, write_manifest
from models.task import make_task
from models.train import train
from tests.context_task import COLUMNS, examples

if TYPE_CHECKING:
    from pathlib import Path

_ROWS, _CHECK, _TEST = examples(300, 1), examples(200, 2), examples(400, 3)


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """Both rungs, with columns."""
    out_dir = tmp_path_factory.mktemp("beside")
    train(_ROWS, out_dir, validation=_CHECK, columns=COLUMNS, encoder=encoder)
    return out_dir


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The texts of the same rows alone."""
    out_dir = tmp_path_factory.mktemp("alone")
    train([(row.text, row.route) for row in _ROWS], out_dir, validation=[row[:2] for row in _CHECK])
    return out_dir


def test_context_decides_where_the_text_cannot(beside: Path, alone: Path) -> None:
    with_columns, without = evaluate(beside, _TEST).rungs, evaluate(alone, _TEST).rungs["small"]
    assert without.accuracy < 0.8
    assert {name for name, rung in with_columns.items() if rung.accuracy > 0.93} >= {"small"}
    assert all(rung.accuracy > without.accuracy + 0.1 for rung in with_columns.values())
    small = with_columns["small"]
    assert small.ece < 0.06
    assert small.accuracy_fp32 == pytest.approx(small.accuracy, abs=0.006)
    manifest = read_manifest(beside)
    assert manifest.rungs[0].accuracy == pytest.approx(small.accuracy, abs=0.06)


@pytest.mark.parametrize("rung", ["small", "large"])
def test_the_same_text_goes_elsewhere_with_another_cart(beside: Path, rung: str) -> None:
    loaded = registry.load(beside).rungs
    if rung not in loaded:
        pytest.skip("the encoder of noise added nothing")
    classifier = loaded[rung].classifier
    assert classifier.predict("give me my money back", ("chat", 500.0)).label == "refund_senior"
    assert classifier.predict("give me my money back", ("chat", 5.0)).label == "refund_bot"
    assert classifier.predict("track my order", ("phone", 500.0)).label == "delivery_desk"
    assert classifier.predict("track my order", ("chat", 500.0)).label == "delivery"


def test_nothing_known_is_the_text_alone(beside: Path) -> None:
    classifier = registry.load(beside).rungs["small"].classifier
    nothing = classifier.scores("refund my order").logits
    for values in ((None, None), ("", float("nan"))):
        assert (classifier.scores("refund my order", values).logits == nothing).all()
    assert (classifier.scores("refund my order", ("chat", 80.0)).logits != nothing).any()


def test_one_of_many_gets_the_same_answer(beside: Path) -> None:
    for rung in registry.load(beside).rungs.values():
        asked = [Question(row.text, row.values) for row in _TEST[:5]]
        together = rung.classifier.scores_many(asked)
        for question, scores in zip(asked, together, strict=True):
            assert rung.classifier.scores(*question).logits == pytest.approx(scores.logits, abs=1e-4)


def test_a_rung_without_columns_ignores_what_it_is_given(alone: Path) -> None:
    classifier = registry.load(alone).rungs["small"].classifier
    told = classifier.scores("refund my order", ("phone", 500.0)).logits
    assert (told == classifier.scores("refund my order").logits).all()


def test_the_manifest_says_what_is_read(beside: Path, alone: Path) -> None:
    manifest = read_manifest(beside)
    assert declared(manifest.columns) == COLUMNS
    assert all(rung.columns == manifest.columns for rung in manifest.rungs)
    assert manifest.columns[0].words is not None
    assert set(manifest.columns[0].words) == {"chat", "mail", "phone"}
    assert read_manifest(alone).columns == ()


def test_the_same_rows_and_seed_give_the_same_version(beside: Path, encoder: Encoder, tmp_path: Path) -> None:
    again = train(_ROWS, tmp_path, validation=_CHECK, columns=COLUMNS, encoder=encoder)
    assert again.plan_version == read_manifest(beside).plan_version


def test_rungs_with_other_columns_than_their_neighbours_are_refused(beside: Path, tmp_path: Path) -> None:
    manifest = read_manifest(beside)
    small = manifest.rungs[0]

    def write(*columns: tuple[ColumnSpec, ...]) -> Manifest:
        rungs = tuple(msgspec.structs.replace(small, columns=each) for each in columns)
        write_manifest(tmp_path, msgspec.structs.replace(manifest, rungs=rungs))
        return read_manifest(tmp_path)

    assert write(small.columns, ()).columns == write((), small.columns).columns == small.columns
    with pytest.raises(ManifestError, match=r"manifest\.json: key columns: all rungs"):
        write(small.columns, small.columns[::-1])


def test_a_column_that_no_row_has_a_value_of_is_left_out_and_told(tmp_path: Path) -> None:
    rows = [Example(row.text, row.route, (None, *row.values)) for row in _ROWS]
    columns = (Column(name="context.vip"), *COLUMNS)
    manifest = train(rows, tmp_path, validation=rows[:50], columns=columns)
    assert declared(manifest.columns) == COLUMNS
    assert "no column `context.vip`: no row has a value of it" in manifest.notes


def test_rows_without_any_value_train_on_their_texts(tmp_path: Path) -> None:
    rows = [Example(row.text, row.route) for row in _ROWS]
    manifest = train(rows, tmp_path, validation=rows[:50], columns=COLUMNS)
    assert manifest.columns == ()
    assert [note for note in manifest.notes if note.startswith("no column")] == [
        "no column `channel`: no row has a value of it",
        "no column `context.cart_value`: no row has a value of it",
    ]


def test_some_rows_may_know_less_than_others() -> None:
    rows = [Example("a", "x", ("mail", 1.0)), Example("b", "y"), Example("c", "x"), Example("d", "y", (None, 3.0))]
    task = make_task(rows, None, 0, COLUMNS)
    assert task.values == [("mail", 1.0), (None, None), (None, None), (None, 3.0)]


def test_a_version_is_compared_with_one_of_other_columns(beside: Path, alone: Path) -> None:
    rows = canary.read(beside)
    assert len(rows) == 200
    assert all(len(row.values) == 2 for row in rows)
    new, active = registry.load(beside), registry.load(alone)
    won = canary.compare(new, active, rows, lambda _: None).rungs["small"]
    assert won.accuracy > won.accuracy_active + 0.1
    lost = canary.compare(active, new, canary.read(alone), lambda _: None).rungs["small"]
    assert abs(lost.accuracy - lost.accuracy_active) < 0.1  # told nothing, the new one reads the text alone


def test_values_of_the_active_version_are_found_by_name(beside: Path, tmp_path: Path) -> None:
    turned = [Example(row.text, row.route, row.values[::-1]) for row in (*_ROWS, *_CHECK)]
    train(turned[:300], tmp_path, validation=turned[300:], columns=COLUMNS[::-1])
    new, active = registry.load(beside), registry.load(tmp_path)
    small = canary.compare(new, active, canary.read(beside), lambda _: None).rungs["small"]
    assert min(small.accuracy, small.accuracy_active) > 0.93


def test_the_digest_knows_the_values() -> None:
    assert digest([Example("a", "b")]) == digest([("a", "b")])
    assert digest([Example("a", "b", ("x", None))]) != digest([Example("a", "b", (None, "x"))])


def test_evaluating_rows_with_too_few_values_is_an_error(beside: Path) -> None:
    with pytest.raises(ValueError, match="zip"):
        evaluate(beside, [Example("refund my order", "refund_bot", ("chat",))])


def test_no_row_in_scope_is_still_told(beside: Path) -> None:
    with pytest.raises(DataError, match="no row is in scope"):
        evaluate(beside, [Example("sing a song", "oos", (None, None))])


def test_the_model_card_says_what_is_read(beside: Path, alone: Path) -> None:
    told = "Joins in the scoring, beside the text: `channel`, `context.cart_value`."
    assert told in card.write(read_manifest(beside))
    assert "Nothing but the text is read." in card.write(read_manifest(alone))
