"""What docs/agent-assignment.md takes from the code, between markers: `python -m tests.assignment_page` renews it.

State diagrams are drawn from the engine's tables, the keys of queues.toml are those of its structs.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from router.assign import policy
from router.assign.transition import ASSIGNMENT, OFFER, PRESENCE, TASK

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = Path(__file__).parents[1] / "docs" / "agent-assignment.md"
TABLES: dict[str, tuple[Mapping[tuple[Any, Any], Any], tuple[str, ...]]] = {
    "task": (TASK, ("queued", "scheduled")),
    "offer": (OFFER, ("pending",)),
    "assignment": (ASSIGNMENT, ("active",)),
    "presence": (PRESENCE, ("offline",)),
}
"""Each machine, and where it begins."""
STRUCTS: dict[str, type[msgspec.Struct]] = {
    "top": policy.Policy,
    "queues": policy.QueuePolicy,
    "steps": policy.Step,
    "overflow": policy.Trigger,
    "channels": policy.ChannelPolicy,
    "classes": policy.ClassPolicy,
    "hours": policy.HoursPolicy,
    "ramp": policy.RampPolicy,
    "lease": policy.LeasePolicy,
    "bot": policy.BotPolicy,
    "mood": policy.MoodPolicy,
    "scores": policy.ScorePolicy,
}


def renewed(page: str) -> str:
    """The page with all that is made from the code as the code is now."""
    for name, (table, begins) in TABLES.items():
        page = _between(page, f"diagram {name}", draw(table, begins))
    for name, struct in STRUCTS.items():
        page = _between(page, f"keys {name}", keys(struct))
    return page


def _between(page: str, name: str, content: str) -> str:
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not marked.search(page):
        raise ValueError(f"the page has no place for {name}")
    return marked.sub(lambda found: f"{found[1]}{content}\n{found[2]}", page)


def draw(table: Mapping[tuple[Any, Any], Any], begins: tuple[str, ...]) -> str:
    """An edge for each pair of states, with all its moves; what leads out of every state is drawn once, from `any`."""
    states = list(dict.fromkeys(state for (source, _), target in table.items() for state in (source, target)))
    edges: dict[tuple[str, str], list[str]] = {}
    for move in dict.fromkeys(move for _, move in table):
        for target in dict.fromkeys(table[key] for key in table if key[1] is move):
            sources = [source for (source, by), to in table.items() if by is move and to is target]
            is_any = len(sources) >= len(states) - 1
            for source in ["any"] if is_any else [str(each.value) for each in sources]:
                edges.setdefault((source, str(target.value)), []).append(str(move.value))
    lines = [f"    [*] --> {state}" for state in begins]
    lines += [f"    {source} --> {target}: {', '.join(moves)}" for (source, target), moves in edges.items()]
    lines += [f"    {state.value} --> [*]" for state in states if all(source is not state for source, _ in table)]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def keys(struct: type[msgspec.Struct]) -> str:
    """A table of the keys that hold a value. Tables of their own (`[lease]`) have their own."""
    rows = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        kind, meta = _unwrap(hints[field.name])
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            continue
        if field.encode_name == "version" or (get_origin(kind) is dict and _is_struct(get_args(kind)[1])):
            continue
        said = (meta.description or "") if meta else ""
        rows.append(f"| `{field.encode_name}` | {_default(field)} | {_allowed(kind, meta)} | {said} |")
    return "\n".join(rows)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _unwrap(hint: Any) -> tuple[Any, msgspec.Meta | None]:
    """The type without `None` and `Annotated`, and all that is said of it."""
    if get_origin(hint) is UnionType or type(None) in get_args(hint):
        hint = next(each for each in get_args(hint) if each is not type(None))
    if get_origin(hint) is not Annotated:
        return hint, None
    kind, *extras = get_args(hint)
    inner, _ = _unwrap(kind)
    return inner, next((extra for extra in extras if isinstance(extra, msgspec.Meta)), None)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    if field.default is None:
        return "none"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return f"`{msgspec.json.encode(value).decode()}`"


def _allowed(kind: Any, meta: msgspec.Meta | None) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind) if choice)
    if meta is not None:
        bounds = [(">", meta.gt), ("≥", meta.ge), ("<", meta.lt), ("≤", meta.le)]
        limits = " and ".join(f"{sign} {value:,}" for sign, value in bounds if value is not None)
        if limits:
            return limits
    if get_origin(kind) is dict:
        value = get_args(kind)[1]
        return "name = 1 to 5" if value is policy.Level else f"name = {_allowed(*_unwrap(value))}"
    if get_origin(kind) is tuple:
        inner, about = _unwrap(get_args(kind)[0])
        return (
            f"list of tables, [below](#{inner.__name__.lower()})"
            if _is_struct(inner)
            else f"list of {_allowed(inner, about)}"
        )
    return {bool: "true, false", float: "number", int: "whole number"}.get(kind, "text")


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
