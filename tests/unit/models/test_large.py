"""The rung `large`: fusion, what it is checked on, and the whole way with a tiny encoder."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer

from models import calibrate, candidate, large, registry
from models.encoder.find import Encoder, read_encoder
from models.errors import QualityRefused
from models.head import Head
from models.spec import OUT_OF_SCOPE, read_manifest
from models.task import make_task
from models.train import train
from tests.encoders import write_encoder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.classifier import Classifier

    Rows = list[tuple[str, str]]


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass


def _signal(strength: float, truth: NDArray[np.int64], seed: int) -> large.Array:
    """Noise, and for the right label of three so much more."""
    rng = np.random.default_rng(seed)
    logits: large.Array = (rng.normal(size=(len(truth), 3)) + strength * np.eye(3)[truth]).astype(np.float32)
    return logits


_TRUTH = np.random.default_rng(0).integers(0, 3, 600)


def test_who_knows_more_weighs_more() -> None:
    strong, weak = _signal(3, _TRUTH, 1), _signal(0.7, _TRUTH, 2)
    by_table, by_head = large._fuse([strong, weak], _TRUTH), large._fuse([weak, strong], _TRUTH)
    assert by_table[0] > 4 * by_table[1]
    assert by_head[1] > 4 * by_head[0]


def test_those_that_err_apart_are_better_together_than_each_is() -> None:
    parts = [_signal(2, _TRUTH, seed) for seed in (1, 2, 3)]
    fused = large._add(parts, large._fuse(parts, _TRUTH))
    right = [(logits.argmax(axis=1) == _TRUTH).mean() for logits in (*parts, fused)]
    assert right[-1] > max(right[:-1]) + 0.03
    assert calibrate.fit_temperature(fused, _TRUTH) == pytest.approx(1, abs=0.6)


def test_the_units_of_each_do_not_matter() -> None:
    table, head = _signal(2, _TRUTH, 1), _signal(1, _TRUTH, 2)
    plain, scaled = large._fuse([table, head], _TRUTH), large._fuse([5 * table, head / np.float32(3)], _TRUTH)
    assert scaled == pytest.approx((plain[0] / 5, plain[1] * 3), rel=0.01)


def test_an_encoder_that_misleads_is_refused() -> None:
    wrong = (_TRUTH + 1) % 3
    with pytest.raises(QualityRefused, match="large: on held-out rows the encoder adds nothing to `small`"):
        large._fuse([_signal(2, _TRUTH, 1), _signal(9, wrong, 2), _signal(9, wrong, 3)], _TRUTH)


@pytest.mark.parametrize("strength", [2, 4, 6])
def test_an_encoder_that_is_noise_is_refused(strength: float) -> None:
    with pytest.raises(QualityRefused, match="large: on held-out rows the encoder adds nothing to `small`"):
        large._fuse([_signal(strength, _TRUTH, 1), _signal(0, _TRUTH, 2), _signal(0, _TRUTH, 3)], _TRUTH)


def test_rows_that_no_label_stands_for_are_not_fused_on() -> None:
    parts = [_signal(2, _TRUTH, 1), _signal(1, _TRUTH, 2)]
    more = [np.concatenate([each, np.full((200, 3), np.nan, np.float32)]) for each in parts]
    assert large._fuse(more, np.concatenate([_TRUTH, np.full(200, -1)])) == large._fuse(parts, _TRUTH)


def test_figures_are_of_rows_that_were_not_learned_from(
    examples: Rows, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    learn, ask = large._Trainer.learn, large._Trainer.ask
    learned: dict[int, large.Mask] = {}
    kept: list[large._Learned] = []
    asked: list[large.Mask] = []

    def note_learn(trainer: large._Trainer, mask: large.Mask) -> large._Learned:
        kept.append(learn(trainer, mask))
        learned[id(kept[-1].heads)] = mask
        return kept[-1]

    def note_ask(trainer: large._Trainer, given: large._Learned, mask: large.Mask) -> large._Said:
        assert not (learned[id(given.heads)] & mask).any()
        asked.append(mask)
        return ask(trainer, given, mask)

    monkeypatch.setattr(large._Trainer, "learn", note_learn)
    monkeypatch.setattr(large._Trainer, "ask", note_ask)
    rung = train(examples, tmp_path, encoder=encoder).rungs[1]
    assert rung.name == "large"
    assert np.sum(asked, axis=0).tolist() == [1] * len(examples)
    assert [mask.all() for mask in learned.values()] == [False] * 5 + [True]


def test_a_row_is_told_by_who_learned_from_the_others(examples: Rows, encoder: Encoder, quick: None) -> None:
    task = make_task(examples, None, 0)
    trainer = large._Trainer(task, encoder, None, _silent)
    part = task.split.parts[0]
    learned = trainer.learn(part.learn)
    said = trainer.ask(learned, part.ask)
    texts = [text for text, is_asked in zip(task.texts, part.ask, strict=True) if is_asked]
    vectors = learned.encoding.exact.of(texts, lambda *_: None)
    assert len(learned.heads) == 2
    for head, int8, fp32 in zip(learned.heads, said.int8, said.fp32, strict=True):
        assert fp32 == pytest.approx(head.logits(vectors), abs=1e-6)
        assert int8 == pytest.approx(fp32, abs=0.5)
        assert int8 != pytest.approx(fp32, abs=1e-6)
    assert said.truth.tolist() == task.truth[part.ask].tolist()
    assert np.linalg.norm(said.vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_one_head_reads_the_end_of_the_vector_only(examples: Rows, encoder: Encoder, quick: None) -> None:
    task = make_task(examples, None, 0)
    learned = large._Trainer(task, encoder, None, _silent).learn(task.split.final)
    end, whole = learned.heads
    assert end.weights.shape == whole.weights.shape == (encoder.network.width, 4)
    before = encoder.network.width - encoder.network.last
    assert (end.weights[:before] == 0).all()
    assert (np.abs(end.weights[before:]).max(axis=1) > 0).all()
    assert (np.abs(whole.weights).max(axis=1) > 0).all()
    vectors = learned.encoding.served.of(task.texts, lambda *_: None)
    for head in learned.heads:
        assert (head.logits(vectors).argmax(axis=1) == task.truth).mean() > 0.6  # of four labels


def test_routes_are_kept_back_to_see_what_unknown_texts_look_like(
    examples: Rows, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    task = make_task([row for row in examples if row[1] != OUT_OF_SCOPE], None, 0)
    trainer = large._Trainer(task, encoder, None, _silent)
    masks: list[large.Mask] = []
    learn = large._Trainer.learn

    def note_learn(trainer: large._Trainer, mask: large.Mask) -> large._Learned:
        masks.append(mask)
        return learn(trainer, mask)

    monkeypatch.setattr(large._Trainer, "learn", note_learn)
    unknowns = large._unknowns(task, trainer, (0.5, 0.5))
    assert unknowns is not None
    (hidden,) = set(task.labels) - set(unknowns.labels)
    (mask,) = masks
    assert {task.labels[at] for at in task.truth[mask]} == set(unknowns.labels)
    asked = task.truth[task.split.parts[0].ask]
    expected = [-1 if task.labels[at] == hidden else unknowns.labels.index(task.labels[at]) for at in asked]
    assert unknowns.held_out.truth.tolist() == expected
    assert unknowns.held_out.int8.shape == (len(asked), 2)
    assert unknowns.held_out.fp32.shape == (len(asked), 2)


def test_no_route_is_kept_back_where_rows_out_of_scope_tell(examples: Rows, encoder: Encoder) -> None:
    task = make_task(examples, None, 0)
    assert large._unknowns(task, large._Trainer(task, encoder, None, _silent), (0.5, 0.5)) is None


def test_two_routes_are_too_few_to_keep_one_back(examples: Rows, encoder: Encoder) -> None:
    task = make_task([row for row in examples if row[1] in {"transfer", "top_up"}], None, 0)
    assert large._unknowns(task, large._Trainer(task, encoder, None, _silent), (0.5, 0.5)) is None


def test_what_the_manifest_says(trained_large: Path, encoder: Encoder) -> None:
    manifest = read_manifest(trained_large)
    small, rung = manifest.rungs
    assert (small.name, rung.name) == ("small", "large")
    assert manifest.notes == ()
    assert rung.pieces is not None
    assert rung.pieces.sha256 == hashlib.sha256(encoder.tokenizer).hexdigest()
    assert rung.features == small.features
    assert rung.bytes > small.bytes
    assert (trained_large / rung.file).stat().st_size < (trained_large / str(rung.fp32_file)).stat().st_size / 2


def test_the_same_seed_gives_the_same_files(examples: Rows, encoder: Encoder, tmp_path: Path, quick: None) -> None:
    runs = [tmp_path / name for name in ("first", "again", "other")]
    for out_dir, seed in zip(runs, (1, 1, 2), strict=True):
        train(examples, out_dir, seed=seed, encoder=encoder)
    first, again, other = ([rung.sha256 for rung in read_manifest(out_dir).rungs] for out_dir in runs)
    assert len(first) == 2
    assert first == again
    assert not set(first) & set(other)
    assert read_manifest(runs[0]).plan_version == read_manifest(runs[1]).plan_version
    for file in ("large.onnx", "large.fp32.onnx", "tokenizer.json", "canary.json"):
        assert (runs[0] / file).read_bytes() == (runs[1] / file).read_bytes()


def test_both_parts_of_the_fusion_are_in_the_graph(trained_large: Path) -> None:
    classifier = registry.load(trained_large).rungs["large"].classifier
    plain, spelt, wordless = (classifier.scores(text).logits for text in ("transfer", "tranfser", "..."))
    assert np.abs(plain - spelt).max() > 0.1
    assert np.abs(wordless - classifier.scores("?").logits).max() > 1e-3  # no n-gram of a word, but other pieces
    small = registry.load(trained_large).rungs["small"].classifier
    assert small.scores("...").logits.tolist() == small.scores("?").logits.tolist()


def test_an_encoder_that_reads_nothing_costs_nothing_or_is_left_out(
    examples: Rows, tmp_path: Path, quick: None
) -> None:
    blind = Tokenizer(WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    blind.pre_tokenizer = BertPreTokenizer()
    directory = write_encoder(tmp_path / "blind")
    (directory / "tokenizer.json").write_text(blind.to_str(), encoding="utf-8")
    manifest = train(examples, tmp_path / "models", encoder=read_encoder(directory, None))
    if len(manifest.rungs) == 1:
        assert "adds nothing to `small`" in manifest.notes[0]
    else:
        assert manifest.rungs[1].accuracy >= manifest.rungs[0].accuracy - 0.03


def test_a_refused_encoder_leaves_small_alone_and_says_why(
    examples: Rows, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    def refuse(_logits: list[large.Array], _truth: NDArray[np.int64]) -> list[float]:
        raise QualityRefused("large: of no use")

    monkeypatch.setattr(large, "_fuse", refuse)
    manifest = train(examples[::2], tmp_path, validation=examples[1::2], encoder=encoder)
    assert [rung.name for rung in manifest.rungs] == ["small"]
    assert manifest.notes == ("no rung `large`: large: of no use",)
    assert list(registry.load(tmp_path).rungs) == ["small"]


def test_a_rung_that_is_refused_leaves_no_files(
    examples: Rows, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    add = Head.add
    monkeypatch.setattr(Head, "add", lambda head, *given: add(Head(head.weights, head.bias + 1), *given))
    written: set[str] = set()
    compare = candidate._compare

    def note_compare(classifier: Classifier, given: candidate.Candidate) -> None:
        written.update(file.name for file in tmp_path.iterdir())
        compare(classifier, given)

    monkeypatch.setattr(candidate, "_compare", note_compare)
    manifest = train(examples, tmp_path, encoder=encoder)
    assert [rung.name for rung in manifest.rungs] == ["small"]
    (note,) = manifest.notes
    assert note.startswith("no rung `large`: large.onnx: the graph gives other logits")
    assert set(large.FILES) <= written
    assert not set(large.FILES) & {file.name for file in tmp_path.iterdir()}
    assert list(registry.load(tmp_path).rungs) == ["small"]


def test_rows_out_of_scope_may_be_there_only_to_check_with(
    examples: Rows, encoder: Encoder, tmp_path: Path, quick: None
) -> None:
    known = [row for row in examples if row[1] != OUT_OF_SCOPE]
    manifest = train(known, tmp_path, validation=examples[::4], encoder=encoder)
    assert OUT_OF_SCOPE not in manifest.labels
    assert [rung.auroc_oos is not None for rung in manifest.rungs] == [True, True]


def test_progress_is_told_of_every_stage(examples: Rows, encoder: Encoder, tmp_path: Path, quick: None) -> None:
    calls: list[tuple[str, int, int]] = []
    known = [row for row in examples if row[1] != OUT_OF_SCOPE]
    train(known, tmp_path, progress=lambda *call: calls.append(call), encoder=encoder)
    training = [(done, total) for stage, done, total in calls if stage == "train large"]
    heads = 7 * 2  # five folds, what is served, and one that a route is kept from
    assert {total for _, total in training} == {heads * 40}
    steps = [done for done, _ in training]
    assert steps == sorted(steps)
    assert set(range(40, heads * 40 + 1, 40)) <= set(steps)  # every head ends where the next one starts
    assert (steps[0], steps[-1]) == (1, heads * 40)
    assert {stage for stage, *_ in calls} == {"train small", "train large", "encode", "encode in float32", "report"}
