"""Whatever the rows: no figure is of a row that was learned from, and no label is left out of learning."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.split import split_rows


@given(
    numbers=st.lists(st.integers(2, 40), min_size=2, max_size=12),
    seed=st.integers(0, 2**32),
    repeat=st.sampled_from([1, 1, 60]),
)
def test_parts_hold_out(numbers: list[int], seed: int, repeat: int) -> None:
    truth = np.repeat(np.arange(len(numbers)), np.array(numbers) * repeat)
    rng = np.random.default_rng(seed)
    rng.shuffle(truth)
    split = split_rows(truth, 0, rng)
    assert split.parts
    assert len(set(split.asked.tolist())) == len(split.asked)
    for part in split.parts:
        assert not (part.learn & part.ask).any()
        assert part.ask.any()
        assert set(truth[part.learn]) == set(range(len(numbers)))
    assert split.final.all()
