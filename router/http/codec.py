"""JSON and MessagePack to structs and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

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


class Decoder:
    """Bytes to one struct type, in either format."""

    def __init__(self, into: type[Any]) -> None:
        self._decode = {JSON: msgspec.json.Decoder(into).decode, MSGPACK: msgspec.msgpack.Decoder(into).decode}

    def decode(self, media_type: str, body: bytes) -> Any:  # noqa: ANN401 - the struct of the constructor
        """Raises: Malformed naming the field (as `$.context`) and what was expected."""
        try:
            return self._decode[media_type](body)
        except msgspec.ValidationError as error:
            raise Malformed(_in_words(str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"the body is not {media_type.removeprefix('application/')}: {error}") from None
        except RecursionError:
            raise Malformed("the body is nested too deeply") from None


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


def _in_words(message: str) -> str:
    """Msgspec's message, with what a person would not guess said plainly."""
    return message.replace("matching regex '^[^\\\\x00]*$'", "without NUL characters")
