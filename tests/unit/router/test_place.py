"""Mistakes in documents are named with the entries that they are in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router.domain.interaction import InteractionBatch
from router.domain.place import with_names
from router.http import codec
from router.http.errors import Malformed
from router.http.resources import Put

PUT = {"queues": ["a"], "channels": {"chat": {}}}
TWO = {"interactions": [{"text": "a"}, {"text": "b", "task": {"skills": {"french": 1, "german": 9}}}]}


@pytest.mark.parametrize("media_type", [codec.JSON, codec.MSGPACK])
@pytest.mark.parametrize(
    ("kind", "document", "at"),
    [
        (Put, {**PUT, "skills": {"french": 5, "german": 7, "latin": 9}}, "`$.skills.german`"),
        (Put, {**PUT, "channels": {"chat": {}, "mail": {"most": "1"}}}, "`$.channels.mail.most`"),
        (Put, {**PUT, "queues": ["a", 7]}, "`$.queues[1]`"),
        (Put, {**PUT, "skills": {"x" * 200: 7}}, "key '" + "x" * 100 + "' in `$.skills`"),
        (Put, {**PUT, "skills": 7}, "`$.skills`"),
        (InteractionBatch, TWO, "`$.interactions[1].task.skills.german`"),
    ],
)
def test_entries_are_named(kind: type[Any], document: Any, at: str, media_type: str) -> None:
    with pytest.raises(Malformed) as caught:
        codec.Decoder(kind).decode(media_type, codec.encode(media_type, document))
    assert str(caught.value).endswith(f" - at {at}")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"skills": {"german": 7, "german": 1}, "queues": [], "channels": {"chat": {}}}', id="twice"),
        pytest.param(b'{"skills": {"german": 7}, ', id="cut off"),
        pytest.param(b'{"skills": {"german": 7}, "attributes": ' + b"[" * 50_000, id="too deep"),
        pytest.param(b'{"skills": {"german": 7}, "attributes": "\xff"}', id="no text"),
    ],
)
def test_what_cannot_be_named_is_refused_all_the_same(body: bytes) -> None:
    with pytest.raises(Malformed, match=r"Expected `int` <= 5 - at `\$\.skills\[\.\.\.\]`$"):
        codec.Decoder(Put).decode(codec.JSON, body)


def test_a_set_has_no_names() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert([1, "a"], set[int])
    assert with_names(str(caught.value), set[int], [1, "a"]) == str(caught.value)
