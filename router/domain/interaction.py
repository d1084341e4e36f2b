"""What a client asks: one interaction. Field names are those of the wire (docs/http-api.md)."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import msgspec

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
# Longer texts are refused rather than cut: the models read the first kilobyte anyway.
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=16_384, pattern=r"^[^\x00]*$")]


class Criticality(Enum):
    """How much a client minds being degraded or turned away; most critical first."""

    CRITICAL_PLUS = "critical-plus"
    CRITICAL = "critical"
    SHEDDABLE_PLUS = "sheddable-plus"
    SHEDDABLE = "sheddable"

    rank: int
    """0 is the most critical (budgets/criticality.py)."""


for _rank, _member in enumerate(Criticality):
    _member.rank = _rank


class TaskHints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the client knows of the task, should the decision create one. Strict: a typo would go unnoticed for long."""

    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] | None = None
    """None: the queue's."""
    skills: Annotated[dict[Id, Annotated[int, msgspec.Meta(ge=1, le=5)]], msgspec.Meta(max_length=32)] = {}
    """Name and least proficiency, beside those that the queue asks for."""
    preferred: Annotated[tuple[Id, ...], msgspec.Meta(max_length=16)] = ()
    """Resources that are asked first, the last agent for example."""
    service_class: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Interaction(msgspec.Struct, frozen=True, kw_only=True):
    """Unknown fields are ignored: a newer client may send more."""

    text: Text
    id: Id | None = None
    channel: Id = "chat"
    customer_id: Id | None = None
    session_id: Id | None = None
    context: dict[Annotated[str, msgspec.Meta(max_length=128)], Any] = msgspec.field(default_factory=dict)
    budget_ms: float | None = None
    criticality: Criticality = Criticality.CRITICAL
    task: TaskHints | None = None


class InteractionBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Up to 256 interactions that are decided side by side, each within its own budget."""

    interactions: Annotated[tuple[Interaction, ...], msgspec.Meta(min_length=1, max_length=256)]
    budget_ms: float | None = None
