"""Whatever a client sends beside a text becomes a row of finite numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.columns import Column, encode, learn, read
from models.spec import ColumnSpec, Kind

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_JSON = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
_KINDS = st.lists(st.sampled_from(["category", "number"]), min_size=1, max_size=4)
_COLUMNS = (ColumnSpec(name="a", words=("x", "y")), ColumnSpec(name="b", mean=-3, spread=1e-20), ColumnSpec(name="c"))


@given(raw=st.tuples(_JSON, _JSON, _JSON))
def test_any_json_is_a_row_of_finite_numbers_of_the_right_width(raw: tuple[Any, Any, Any]) -> None:
    for row in (raw, tuple(read(column.kind, value) for column, value in zip(_COLUMNS, raw, strict=True))):
        encoded = encode(_COLUMNS, [row])
        assert encoded.shape == (1, 5)
        assert np.isfinite(encoded).all()
        assert np.abs(encoded).max() <= 5


@given(raw=_JSON, kind=st.sampled_from(["category", "number"]))
def test_what_was_read_stays_what_it_is_and_can_be_a_key(raw: Any, kind: Kind) -> None:
    value = read(kind, raw)
    assert read(kind, value) == value
    assert hash(value) == hash(read(kind, raw))
    assert value is None or isinstance(value, str if kind == "category" else float)


@given(kinds=_KINDS, data=st.data())
def test_what_was_learned_can_encode_what_it_was_learned_from(kinds: list[Kind], data: st.DataObject) -> None:
    columns = [Column(name=f"c{place}", kind=kind) for place, kind in enumerate(kinds)]
    row = st.tuples(*(_SCALARS.map(partial(read, kind)) for kind in kinds))
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    specs = learn(columns, rows)
    for place, spec in enumerate(specs):
        encoded = encode([spec], [(row[place],) for row in rows]) if spec is not None else np.zeros((1, 1))
        assert np.isfinite(encoded).all()
        if spec is not None and spec.words is not None:  # each known word has a place, none shares the last one
            assert encoded[:, :-1].any(axis=0).all()
            assert not encoded[:, -1].any()
