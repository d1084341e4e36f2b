"""Where in a document a mistake is: msgspec writes `[...]` for an entry of an object and does not say which one."""

from __future__ import annotations

import re
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

_PLACE = re.compile(r"(?P<what>.*) - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`\Z", re.DOTALL)
_STEP = re.compile(r"\.(?P<field>\w+)|\[(?P<index>\d+|\.\.\.)\]")
_MAX_CHARS = 100  # of a name that a client has chosen


def with_names(message: str, into: Any, document: Any) -> str:  # noqa: ANN401 - any type, anything decoded
    """The message of a ValidationError, with the names of entries: `$.skills.german` for `$.skills[...]`.

    Args: document: what did not fit `into`, decoded without a type.
    """
    found = _PLACE.match(message)
    if found is None or not (found["key"] or "[...]" in found["path"]):
        return message
    at, kind, value = "$", into, document
    try:
        for step in _STEP.finditer(found["path"]):
            kind = _bare(kind)
            if step["field"]:
                at, value = f"{at}.{step['field']}", value[step["field"]]
                kind = next(each.type for each in msgspec.structs.fields(kind) if each.encode_name == step["field"])
            elif step["index"] != "...":
                at, value, kind = f"{at}[{step['index']}]", value[int(step["index"])], get_args(kind)[0]
            else:
                key, kind = _misfit(kind, value, 1), get_args(kind)[1]
                at, value = f"{at}.{key[:_MAX_CHARS]}", value[key]
        if found["key"]:
            return f"{found['what']} - at key {_misfit(_bare(kind), value, 0)[:_MAX_CHARS]!r} in `{at}`"
    except (AttributeError, LookupError, StopIteration, TypeError):
        return message  # a name that is there twice, a set: it stays unnamed
    return f"{found['what']} - at `{at}`"


def _misfit(kind: Any, entries: dict[str, Any], part: int) -> str:  # noqa: ANN401 - a type of dict
    """The first key (part 0), or the key of the first value (1), that is not of its type. Raises: LookupError."""
    wanted = get_args(kind)[part]
    for entry in entries.items():
        try:
            msgspec.convert(entry[part], wanted)
        except msgspec.ValidationError:
            return entry[0]
    raise LookupError


def _bare(kind: Any) -> Any:  # noqa: ANN401 - any type
    """Without what is annotated, and without the alternative that there is nothing."""
    while get_origin(kind) in {Annotated, Union, UnionType}:
        args = get_args(kind)
        kind = args[0] if get_origin(kind) is Annotated else next(each for each in args if each is not type(None))
    return kind
