"""JSON and MessagePack to structs and back."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from router.domain.interaction import Interaction, InteractionBatch
from router.http.errors import Malformed, UnsupportedType

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
JSON, MSGPACK = "application/json", "application/msgpack"
# An unregistered spelling that older clients send.
_ALIASES = {"application/x-msgpack": MSGPACK}
_ENCODE: dict[str, Callable[[Any], bytes]] = {
    JSON: msgspec.json.Encoder().encode,
    MSGPACK: msgspec.msgpack.Encoder().encode,
}
# Bounds what a condition that reads a list may cost; together with the rules of router/policy/expression.py.
MAX_CONTEXT_VALUES = 1_000
# What conditions can read, beside objects and lists. MessagePack has more to say, and JSON has larger integers.
_READABLE = frozenset((str, bool, float, int, bytes, datetime, type(None)))
_MAX_BITS = 1_023  # of an integer; a double holds no larger one


class Decoder:
    """Bytes to one struct type, in either format."""

    def __init__(self, into: type[Any]) -> None:
        self._decode = {JSON: msgspec.json.Decoder(into).decode, MSGPACK: msgspec.msgpack.Decoder(into).decode}

    def decode(self, media_type: str, body: bytes) -> Any:  # noqa: ANN401 - the struct of the constructor
        """Raises: Malformed naming the field (as `$.context`) and what was expected."""
        try:
            value = self._decode[media_type](body)
        except msgspec.ValidationError as error:
            raise Malformed(_in_words(str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"the body is not {media_type.removeprefix('application/')}: {error}") from None
        except RecursionError:
            raise Malformed("the body is nested too deeply") from None
        if isinstance(value, Interaction):
            check_context(value.context, "$.context")
        elif isinstance(value, InteractionBatch):
            for number, each in enumerate(value.interactions):
                check_context(each.context, f"$.interactions[{number}].context")
        return value


def media_type_of(content_type: str | None) -> str:
    """The format of a request body; JSON when the header is missing. Raises: UnsupportedType."""
    if content_type is None or content_type == JSON:
        return JSON
    bare = content_type.partition(";")[0].strip().lower()
    found = _ALIASES.get(bare, bare)
    if found not in _ENCODE:
        raise UnsupportedType(f"Content-Type {bare[:100]!r}: send {JSON} or {MSGPACK}")
    return found


def answer_type(accept: str | None, request_type: str) -> str:
    """The format of the answer: what `Accept` names first of the two, else that of the request."""
    if accept is None or accept == "*/*":
        return request_type
    for part in accept.lower().split(","):
        bare = part.partition(";")[0].strip()
        found = _ALIASES.get(bare, bare)
        if found in _ENCODE:
            return found
    return request_type


def encode(media_type: str, value: object) -> bytes:
    return _ENCODE[media_type](value)


def check_context(context: dict[str, Any], where: str) -> None:
    """Refuse what no condition can read: one such value would keep every guard that names `context` from matching.

    Raises: Malformed. 0.5 us for a small one, 0.3 ms at most.
    """
    left = MAX_CONTEXT_VALUES
    unread: list[tuple[str, Any]] = [(where, context)] if context else []
    while unread:
        at, container = unread.pop()
        left -= len(container)
        if left < 0:
            raise Malformed(f"Expected at most {MAX_CONTEXT_VALUES} values in all - at `{where}`")
        is_object = type(container) is dict
        key: Any
        for key, value in container.items() if is_object else enumerate(container):
            if is_object and type(key) is not str:
                raise Malformed(f"Expected `str` as key, got {type(key).__name__} - at `{at}`")
            kind = type(value)
            if kind in _READABLE and (kind is not int or value.bit_length() <= _MAX_BITS):
                continue
            place = f"{at}.{key[:100]}" if is_object else f"{at}[{key}]"
            if kind is not dict and kind is not list:
                what = "a smaller integer" if kind is int else f"no {kind.__name__}"
                raise Malformed(f"Expected {what} - at `{place}`")
            unread.append((place, value))


def _in_words(message: str) -> str:
    """Msgspec's message, with what a person would not guess said plainly."""
    return message.replace("matching regex '^[^\\\\x00]*$'", "without NUL characters")
