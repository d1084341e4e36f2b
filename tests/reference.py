"""Writes docs/configuration.md from the settings: `python -m tests.reference > docs/configuration.md`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from router.config import Settings

INTRO = """\
# Configuration

`takt.toml` has the sections below; a key that is left out has its default. An unknown key or a value out of bounds
refuses to start and says what is allowed. Paths are relative to `takt.toml`.

Every key can be overridden by an environment variable, `TAKT__SECTION__KEY`: a string as it is, anything else as TOML.
`TAKT__SERVER__PORT=9000`, `TAKT__LOG__PATH=/var/takt.sqlite`, `TAKT__SERVER__CORS_ORIGINS='["https://shop.example"]'`,
`TAKT__CALLERS__SHOP__KEY=…`.

This page is made from the code (`python -m tests.reference > docs/configuration.md`), and a test compares the two.
"""


def page() -> str:
    parts = [INTRO]
    for heading, struct in _sections(Settings):
        parts.append(f"## [{heading}]\n\n{_first_line(struct)}\n")
        parts.append("| key | default | allowed | meaning |\n|---|---|---|---|")
        hints = get_type_hints(struct, include_extras=True)
        for field in msgspec.structs.fields(struct):
            kind, meta = _unwrap(hints[field.name])
            default = "required" if field.required else f"`{msgspec.json.encode(_default(field)).decode()}`"
            parts.append(f"| `{field.encode_name}` | {default} | {_allowed(kind, meta)} | {meta.description} |")
        parts.append("")
    return "\n".join(parts)


def _sections(settings: type[Any], prefix: str = "") -> Iterator[tuple[str, type[Any]]]:
    """Each table by its heading; a struct whose fields are tables itself is those."""
    for field in msgspec.structs.fields(settings):
        heading, kind = f"{prefix}{field.encode_name}", field.type
        if get_origin(kind) is dict:  # as many as there are names
            yield f"{heading}.NAME", get_args(kind)[1]
        elif isinstance(kind, UnionType):  # it may be missing
            yield heading, get_args(kind)[0]
        elif any(isinstance(each.type, UnionType) for each in msgspec.structs.fields(kind)):
            yield from _sections(kind, f"{heading}.")
        else:
            yield heading, kind


def _default(field: msgspec.structs.FieldInfo) -> Any:
    made = field.default_factory
    return field.default if made is msgspec.NODEFAULT else made()


def _first_line(struct: type[Any]) -> str:
    return (struct.__doc__ or "").strip().splitlines()[0]


def _unwrap(hint: Any) -> tuple[Any, msgspec.Meta]:
    """The type inside `Annotated`, and its `Meta`."""
    kind, *extras = get_args(hint)
    return kind, next(extra for extra in extras if isinstance(extra, msgspec.Meta))


def _allowed(kind: Any, meta: msgspec.Meta) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    bounds = [(">", meta.gt), ("≥", meta.ge), ("<", meta.lt), ("≤", meta.le)]
    limits = " and ".join(f"{sign} {value:,}" for sign, value in bounds if value is not None)
    if limits:
        return limits
    if get_origin(kind) is dict:
        return "table of strings"
    return "list of strings" if get_origin(kind) is tuple else {bool: "true, false"}.get(kind, "string")


if __name__ == "__main__":
    print(page(), end="")
