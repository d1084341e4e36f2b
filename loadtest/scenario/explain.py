"""What msgspec has against a file, with what people need to put it right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from loadtest.quantity import decode_quantity

_ANY_ENTRY = "[...]"  # msgspec does not say which entry of a table it means


def explain(error: msgspec.ValidationError, raw: Any, kind: type) -> str:  # noqa: ANN401 - what a file holds
    """The message, key first, and what is allowed where it leaves that out. `raw` did not convert to `kind`."""
    message, _, at = str(error).partition(" - at ")
    key = at.strip("`").removeprefix("$").removeprefix(".")
    hint = ""
    if "unknown field" in message or "enum value" in message:
        allowed = _allowed(_at(kind, key))
        hint = f"; allowed: {', '.join(allowed)}" if allowed else ""
    if key.endswith(_ANY_ENTRY):
        table = key.removesuffix(_ANY_ENTRY)
        key = f"{table}.{_entry(raw, table, _at(kind, table))}"
    return f"{key or 'top level'}: {message[:1].lower()}{message[1:]}{hint}"


def _at(kind: Any, key: str) -> list[Any]:  # noqa: ANN401 - any annotation
    """What may stand at a key."""
    for part in key.split(".") if key else ():
        name = part.partition("[")[0]
        tables = [each for each in _flat(kind) if _is_struct(each)]
        kind = next((f.type for t in tables for f in msgspec.structs.fields(t) if f.encode_name == name), None)
    return list(_flat(kind))


def _allowed(kinds: list[Any]) -> list[str]:
    """The keys of a table, or the words of a value."""
    for kind in kinds:
        if _is_struct(kind):
            return [field.encode_name for field in msgspec.structs.fields(kind)]
    return [str(word) for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]


def _entry(raw: Any, table: str, kinds: list[Any]) -> str:  # noqa: ANN401 - what a file holds
    """The first entry of a table that does not convert."""
    for part in table.split("."):
        raw = raw[part]
    for name, value in raw.items():
        try:
            msgspec.convert(value, get_args(kinds[0])[1], dec_hook=decode_quantity)
        except msgspec.ValidationError:
            return str(name)
    return "*"


def _flat(kind: Any) -> Iterator[Any]:  # noqa: ANN401 - any annotation
    """What an annotation is made of: the parts of unions, lists and `Annotated`."""
    if get_origin(kind) in {Literal, dict} or not get_args(kind):
        yield kind
    elif get_origin(kind) is Annotated:
        yield from _flat(get_args(kind)[0])
    else:
        for part in get_args(kind):
            yield from _flat(part)


def _is_struct(kind: Any) -> bool:  # noqa: ANN401 - any annotation
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
