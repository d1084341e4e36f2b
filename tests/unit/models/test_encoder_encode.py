"""Texts to vectors while training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.encoder.encode import Vectors, observe
from models.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from models.encoder.find import Encoder


def _silent(_done: int, _total: int) -> None:
    pass


def _spy(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Shapes of what is run from now on."""
    shapes: list[tuple[int, int]] = []
    run = Session.run

    def note(session: Session, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        shapes.append(feeds["input_ids"].shape)
        return run(session, feeds)

    monkeypatch.setattr(Session, "run", note)
    return shapes


def test_vectors_are_in_the_order_of_the_texts(encoder: Encoder, examples: list[tuple[str, str]]) -> None:
    texts = [text for text, _ in examples]
    vectors = Vectors(encoder, None, 64).of(texts, _silent)
    assert vectors.shape == (len(texts), encoder.network.width)
    for at in (0, 41, 95):
        assert vectors[at] == pytest.approx(Vectors(encoder, None, 64).of([texts[at]], _silent)[0], abs=1e-5)
    assert len(np.unique(vectors.round(3), axis=0)) > 90


def test_a_text_is_encoded_once_however_it_is_spelt(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, shapes = Vectors(encoder, None, 64), _spy(monkeypatch)
    calls: list[tuple[int, int]] = []
    first = vectors.of(["Send  Money", "send money", "hi"], lambda *call: calls.append(call))
    again = vectors.of(["hi", "SEND MONEY"], lambda *call: calls.append(call))
    assert [rows for rows, _ in shapes] == [2]
    assert calls == [(2, 2)]
    assert first[0].tolist() == first[1].tolist() == again[1].tolist()
    assert first[2].tolist() == again[0].tolist()


def test_texts_of_like_length_share_a_call(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, shapes = Vectors(encoder, None, 64), _spy(monkeypatch)
    texts = [f"{'now ' * (1 + 30 * (number % 2))}{number}" for number in range(32)]
    vectors.of(texts, _silent)
    assert [rows for rows, _ in shapes] == [16, 16]
    assert shapes[0][1] < 10 < shapes[1][1]


def test_no_more_than_the_first_pieces_are_read(encoder: Encoder) -> None:
    vectors = Vectors(encoder, None, 8)
    first, same, other = vectors.of(["now " * 6, "now " * 60, "now " * 5 + "money"], _silent)
    assert first.tolist() == same.tolist()
    assert first.tolist() != other.tolist()


def test_what_is_observed_is_an_even_sample(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = _spy(monkeypatch)
    observe(encoder, ["hi", "please help me now"] * 600, 64)
    assert 256 <= len(shapes) <= 400
    assert {rows for rows, _ in shapes} == {1}


def test_every_layer_that_is_rounded_was_observed(encoder: Encoder) -> None:
    int8 = observe(encoder, ["hi", "please help"], 64)
    assert Vectors(encoder, int8, 64).of(["hello there"], _silent).shape == (1, encoder.network.width)
