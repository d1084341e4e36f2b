"""Tables of the page. Whatever comes from a run is escaped here: servers and scenarios may say anything."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MAX_CHARS = 240


class Number(NamedTuple):
    """A cell of figures: they line up at the right."""

    words: str


class Mark(NamedTuple):
    """A verdict: `kind` is a class of the style, the words say the same without colour."""

    kind: str
    words: str


class Code(NamedTuple):
    """What is typed: an expression, a command."""

    text: str


class Why(NamedTuple):
    """A sentence; its column keeps some width."""

    words: str


Cell = str | Number | Mark | Code | Why


def shown(text: str) -> str:
    """`text` as HTML: one line, not too long, its writing direction kept to itself."""
    line = " ".join(text.split())
    cut = line if len(line) <= _MAX_CHARS else line[: _MAX_CHARS - 1] + "…"
    return f"<bdi>{escape(cut)}</bdi>"


def draw_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """The first column heads the rows; columns of Numbers are aligned to the right."""
    listed = list(rows)
    if not listed:
        return ""
    heads = "".join(
        f'<th scope="col"{_kind(cell)}>{escape(name)}</th>' for name, cell in zip(columns, listed[0], strict=True)
    )
    body = "".join(
        f'<tr><th scope="row">{content(row[0])}</th>'
        + "".join(f"<td{_kind(cell)}>{content(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in listed
    )
    # A region that scrolls sideways must be reachable by keyboard.
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def side_by_side(*tables: str) -> str:
    """As many as there is room for."""
    return f'<div class="tables">{"".join(tables)}</div>'


def _kind(cell: Cell) -> str:
    """The class of a cell, and of its column's head."""
    return ' class="n"' if isinstance(cell, Number) else ' class="why"' if isinstance(cell, Why) else ""


def content(cell: Cell) -> str:
    """The inside of a cell."""
    if isinstance(cell, Mark):
        return f'<span class="mark {cell.kind}">{escape(cell.words)}</span>'
    if isinstance(cell, Code):
        return f"<code>{shown(cell.text)}</code>"
    if isinstance(cell, Number):
        return escape(cell.words)
    return shown(cell.words if isinstance(cell, Why) else cell)
