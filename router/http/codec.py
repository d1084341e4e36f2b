"""JSON and MessagePack to structs and back."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import inspect

from router.domain.interaction import Interaction, InteractionBatch
from router.domain.place import with_names
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
_DECODE: dict[str, Callable[[bytes], Any]] = {JSON: msgspec.json.decode, MSGPACK: msgspec.msgpack.decode}
_UNKNOWN = re.compile(r"^(?:Object contains unknown field `.*?`|Invalid enum value .*?)(?: - at `\$(.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[[^]]*\]")
# Bounds what a condition that reads a list may cost; together with the rules of router/policy/expression.py.
MAX_CONTEXT_VALUES = 1_000
# What is taken must be readable at a start, and how much nesting that is depends on how deep the stack is by then.
MAX_CONTEXT_LEVELS = 64
# What conditions can read, beside objects and lists. MessagePack has more to say, and JSON has larger integers.
_READABLE = frozenset((str, bool, float, int, bytes, datetime, type(None)))
_MAX_BITS = 1_023  # of an integer; a double holds no larger one
LOG_BITS = 63
"""Of an integer that the log shall hold."""


class Decoder:
    """Bytes to one struct type, in either format."""

    def __init__(self, into: type[Any]) -> None:
        self._into = into
        self._decode = {JSON: msgspec.json.Decoder(into).decode, MSGPACK: msgspec.msgpack.Decoder(into).decode}

    def decode(self, media_type: str, body: bytes) -> Any:  # noqa: ANN401 - the struct of the constructor
        """Raises: Malformed naming the field (as `$.context`) and what was expected."""
        try:
            value = self._decode[media_type](body)
        except msgspec.ValidationError as error:
            said = self._with_names(str(error), media_type, body)
            raise Malformed(_in_words(said) + _allowed(self._into, str(error))) from None
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

    def _with_names(self, message: str, media_type: str, body: bytes) -> str:
        try:
            return with_names(message, self._into, _DECODE[media_type](body))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):  # what comes after the mistake
            return message


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


def check_context(context: dict[str, Any], where: str, most_bits: int = _MAX_BITS) -> None:
    """Refuse what no condition can read: one such value would keep every guard that names `context` from matching.

    Args: most_bits: of an integer.
    Raises: Malformed. 0.5 us for a small one, 0.3 ms at most.
    """
    left = MAX_CONTEXT_VALUES
    unread: list[tuple[str, Any, int]] = [(where, context, 1)] if context else []
    while unread:
        at, container, level = unread.pop()
        left -= len(container)
        if left < 0:
            raise Malformed(f"Expected at most {MAX_CONTEXT_VALUES} values in all - at `{where}`")
        is_object = type(container) is dict
        key: Any
        for key, value in container.items() if is_object else enumerate(container):
            if is_object and type(key) is not str:
                raise Malformed(f"Expected `str` as key, got {type(key).__name__} - at `{at}`")
            kind = type(value)
            if kind in _READABLE and (kind is not int or value.bit_length() <= most_bits):
                continue
            place = f"{at}.{key[:100]}" if is_object else f"{at}[{key}]"
            if kind is not dict and kind is not list:
                what = "a smaller integer" if kind is int else f"no {kind.__name__}"
                raise Malformed(f"Expected {what} - at `{place}`")
            if level == MAX_CONTEXT_LEVELS:
                raise Malformed(f"Expected at most {MAX_CONTEXT_LEVELS} levels of objects and lists - at `{where}`")
            unread.append((place, value, level + 1))


def _allowed(into: type[Any], message: str) -> str:
    """What may stand there, of a field that is not known or a word that is none of a few: msgspec does not say."""
    found = _UNKNOWN.search(message)
    if found is None:
        return ""
    node = inspect.type_info(into)
    for name in _STEP.findall(found[1] or ""):
        node = _inner(node, name)
    node = _without_none(node)
    allowed: list[str] = []
    if isinstance(node, inspect.StructType):
        allowed = [field.encode_name for field in node.fields]
    elif isinstance(node, inspect.LiteralType):
        allowed = [str(value) for value in node.values]
    elif isinstance(node, inspect.EnumType):
        allowed = [str(each.value) for each in node.cls]
    return f"; allowed: {', '.join(allowed) or 'none'}"


def _without_none(node: inspect.Type) -> inspect.Type:
    if isinstance(node, inspect.UnionType):
        return next((each for each in node.types if not isinstance(each, inspect.NoneType)), node)
    return node.type if isinstance(node, inspect.Metadata) else node


def _inner(node: inspect.Type, name: str) -> inspect.Type:
    """What stands in a field; without a name: in an object or a list."""
    node = _without_none(node)
    if isinstance(node, inspect.StructType):
        return next((field.type for field in node.fields if field.encode_name == name), node)
    if isinstance(node, inspect.DictType):
        return node.value_type
    return node.item_type if isinstance(node, inspect.ListType | inspect.VarTupleType) else node


def _in_words(message: str) -> str:
    """Msgspec's message, with what a person would not guess said plainly."""
    return message.replace("matching regex '^[^\\\\x00]*$'", "without NUL characters")
