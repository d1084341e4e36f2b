"""Whatever the texts: a call with several feeds each what it is fed alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.features import Features
from models.inputs import NgramFeeder, Question, padded
from models.spec import FeatureSpec

_TEXTS = st.lists(st.text(max_size=60), min_size=1, max_size=6)
_IDS = st.lists(st.lists(st.integers(1, 30_000), min_size=1, max_size=40), min_size=1, max_size=6)


@given(texts=_TEXTS, bits=st.integers(4, 16))
def test_ngrams_of_a_call_are_those_of_its_texts(texts: list[str], bits: int) -> None:
    feeder = NgramFeeder(Features(FeatureSpec(bits=bits)))
    questions = [Question(text) for text in texts]
    together = feeder.many(questions)
    assert (together["member"].sum(axis=0) == 1).all()
    assert together["ids"].max() < 1 << bits
    for at, question in enumerate(questions):
        alone = feeder.one(question)
        assert together["ids"][together["member"][at] == 1].tolist() == alone["ids"].tolist()
        assert together["length"][at] == alone["length"][0] == np.sqrt(np.float32(len(alone["ids"])))


@given(ids=_IDS)
def test_what_is_filled_up_can_be_told_from_what_was_there(ids: list[list[int]]) -> None:
    feeds = padded(ids)
    pieces, mask = feeds["input_ids"], feeds["attention_mask"]
    assert pieces.shape == mask.shape == (len(ids), max(map(len, ids)))
    assert [row[kept == 1].tolist() for row, kept in zip(pieces, mask, strict=True)] == ids
    assert not pieces[mask == 0].any()
    assert (np.diff(mask, axis=1) <= 0).all()  # nothing is filled up before the end
