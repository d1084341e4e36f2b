"""Fine-tuning: what changes, that it can be repeated, that it helps, and that the graph serves what was tuned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from models import errors
from models.encoder.bert import Bert
from models.encoder.encode import Vectors
from models.encoder.find import Encoder, read_encoder
from models.features import normalise
from models.head import fit_head
from models.pieces import Pieces
from tests.components import needs
from tests.encoders import write_encoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

needs("torch", "only --accurate needs it, and few install it")

import torch  # noqa: E402

from models.encoder import tune as tuning  # noqa: E402 - it imports torch

_LAYERS, _PIECES = 5, 64


class _Task(NamedTuple):
    texts: list[str]
    truth: NDArray[np.int64]


def _task(start: int, stop: int) -> _Task:
    """The label is whether two words go together; either alone says nothing, so a linear head is often wrong."""
    fillers = "i want to help my account the transfer please now today".split()
    rng = np.random.default_rng(start)
    texts, truth = [], []
    for number in range(start, stop):
        one, other = (int(value) for value in rng.integers(2, size=2))
        words = [*rng.choice(fillers, number % 8), ("lost", "wire")[one], ("card", "money")[other]]
        texts.append(" ".join(rng.permutation(words)))
        truth.append(int(one == other))
    return _Task(texts, np.array(truth))


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    """A tiny network needs a larger rate; and two threads that wait for each other are slow beside other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "_RATE", 1e-3)
        patch.setattr(tuning, "_MIN_STEPS", 10)
        patch.setattr(tuning, "_THREADS", 1)
        yield


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return read_encoder(write_encoder(tmp_path_factory.mktemp("bert"), layers=_LAYERS), None)


@pytest.fixture(scope="module")
def learned() -> _Task:
    return _task(0, 400)


@pytest.fixture(scope="module")
def tuned(encoder: Encoder, learned: _Task) -> Encoder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "_MIN_STEPS", 200)
        return tuning.tune(encoder, learned.texts, learned.truth, 7, lambda *_: None)


def _weights(encoder: Encoder) -> Mapping[str, NDArray[np.float32]]:
    assert isinstance(encoder.network, Bert)
    return encoder.network.weights


def _accuracy(encoder: Encoder, learned: _Task, asked: _Task) -> float:
    vectors = Vectors(encoder, None, _PIECES)
    known = vectors.of(learned.texts, lambda *_: None)
    head = fit_head(known, learned.truth, 2, lambda *_: None)
    return float((head.logits(vectors.of(asked.texts, lambda *_: None)).argmax(axis=1) == asked.truth).mean())


def test_only_the_top_layers_change(encoder: Encoder, tuned: Encoder) -> None:
    before, after = _weights(encoder), _weights(tuned)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert changed == {name for name in before if name.startswith(tuple(f"encoder.layer.{n}." for n in (2, 3, 4)))}
    assert (tuned.name, tuned.tokenizer, tuned.weights_sha256) == (
        encoder.name,
        encoder.tokenizer,
        encoder.weights_sha256,
    )


def test_the_same_rows_and_seed_give_the_same_weights(encoder: Encoder, learned: _Task) -> None:
    found: list[Mapping[str, NDArray[np.float32]]] = []
    for seed in (7, 7, 8):
        torch.rand(seed + len(found))  # what others draw in between has no influence
        found.append(_weights(tuning.tune(encoder, learned.texts[:50], learned.truth[:50], seed, lambda *_: None)))
    first, again, other = found
    assert all(np.array_equal(value, again[name]) for name, value in first.items())
    assert any(not np.array_equal(value, other[name]) for name, value in first.items())


def test_a_head_on_tuned_vectors_is_right_more_often(encoder: Encoder, learned: _Task, tuned: Encoder) -> None:
    asked = _task(1_000, 1_400)
    assert _accuracy(encoder, learned, asked) < 0.9
    assert _accuracy(tuned, learned, asked) > 0.98


@pytest.mark.parametrize("layers", [1, 3, 4, 5])
def test_the_graph_computes_what_was_tuned(tmp_path: Path, learned: _Task, layers: int) -> None:
    encoder = read_encoder(write_encoder(tmp_path, layers=layers), None)
    texts, truth = learned.texts[:40], learned.truth[:40]
    network = tuning.tune(encoder, texts, truth, 0, lambda *_: None)
    assert isinstance(network.network, Bert)
    tower = tuning.Tower(network.network)
    ids = Pieces(Path("t"), encoder.tokenizer, _PIECES).many([normalise(text) for text in texts])
    states = tower.read(ids, lambda *_: None)
    with torch.no_grad():
        vectors = tower.vectors(*states.of(np.arange(len(texts)))).numpy()
    assert np.abs(vectors - Vectors(network, None, _PIECES).of(texts, lambda *_: None)).max() < 1e-4


def test_progress_counts_texts_and_steps(encoder: Encoder, learned: _Task) -> None:
    calls: list[tuple[str, int, int]] = []
    tuning.tune(encoder, learned.texts[:100], learned.truth[:100], 0, lambda *call: calls.append(call))
    read, steps = ([call for call in calls if call[0] == stage] for stage in ("read", "tune"))
    assert [done for _, done, _ in read] == [64, 100]
    assert [done for _, done, _ in steps] == list(range(1, len(steps) + 1))
    assert steps[-1][1:] == (len(steps), len(steps))


def test_labels_that_no_row_has_do_no_harm(encoder: Encoder, learned: _Task) -> None:
    tuning.tune(encoder, learned.texts[:40], 3 * learned.truth[:40], 0, lambda *_: None)


def test_other_networks_are_refused(encoder: Encoder) -> None:
    class Other:
        width, last = 4, 4

        def add(self, graph: object, linear: object, max_pieces: int, *, int8: bool) -> str:
            raise NotImplementedError

    other = Encoder(name="use", network=Other(), tokenizer=encoder.tokenizer, weights_sha256="")
    with pytest.raises(errors.ModelError, match="--accurate knows BERT encoders only; train without it to use use"):
        tuning.tune(other, ["a", "b"], np.array([0, 1]), 0, lambda *_: None)
