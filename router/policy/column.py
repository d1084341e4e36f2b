"""Where the columns come from that join a text in the scoring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.columns import read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.columns import Column, Value
    from router.domain.interaction import Interaction

SOURCES = ("channel", "criticality", "hour", "weekday", "context.KEY")
MAX_COLUMNS = 16
"""Each costs a microsecond of every decision, and makes entries of the cache fit fewer of them."""

_CONTEXT = "context."
_HOUR_NS = 3_600_000_000_000
_DAY_NS = 24 * _HOUR_NS
_EPOCH_WEEKDAY = 4  # 1970-01-01 was a Thursday


def is_source(name: str) -> bool:
    """Whether a column may have that name."""
    return name in SOURCES[:-1] or (name.startswith(_CONTEXT) and name != _CONTEXT)


def values_of(columns: Sequence[Column], interaction: Interaction, at_ns: int) -> tuple[Value, ...]:
    """A value of each column. Args: at_ns: when the interaction came, UTC nanoseconds since 1970."""
    return tuple([read(column.kind, _find(column.name, interaction, at_ns)) for column in columns])


def _find(name: str, interaction: Interaction, at_ns: int) -> Any:  # noqa: ANN401 - as varied as what a client sends
    match name:
        case "channel":
            return interaction.channel
        case "criticality":
            return interaction.criticality.value
        case "hour":
            return at_ns // _HOUR_NS % 24
        case "weekday":  # as in ISO 8601: Monday is 1
            return (at_ns // _DAY_NS + _EPOCH_WEEKDAY - 1) % 7 + 1
        case _:
            return interaction.context.get(name.removeprefix(_CONTEXT))
