"""Tables of the page. Every value passes through `shown`: texts are written by strangers."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.findings import Block

_MAX_CHARS = 240  # of a text on the page; more would let a few long messages fill it
_HEAT = 4  # shades


class Number(NamedTuple):
    """A cell to sort by `value` and to read as `words`."""

    value: float
    words: str


class Quotes(NamedTuple):
    """A cell of customers' texts."""

    texts: tuple[str, ...]


Cell = str | Number | Quotes


def shown(text: str) -> str:
    """`text` as HTML: one line, not too long, with its writing direction kept to itself."""
    line = " ".join(text.split())
    cut = line if len(line) <= _MAX_CHARS else line[: _MAX_CHARS - 1] + "…"
    return f"<bdi>{escape(cut).replace('_', '_<wbr>')}</bdi>"  # long names of routes break there


def percent(share: float | None) -> Number:
    """A share, or a dash where nothing tells; dashes sort below everything."""
    return Number(-1, "–") if share is None else Number(share, f"{share:.1%}")


def count(number: int) -> Number:
    """A count with thousands marked."""
    return Number(number, f"{number:,}")


def draw_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table whose columns sort when their heads are pressed; the first column heads the rows.

    Columns are right-aligned where their first row has a number.
    """
    listed = list(rows)
    numeric = [isinstance(cell, Number) for cell in listed[0]] if listed else [False] * len(columns)
    heads = "".join(
        f'<th scope="col"{_align(right)}><button type="button">{escape(name)}</button></th>'
        for name, right in zip(columns, numeric, strict=True)
    )
    body = "".join(f'<tr><th scope="row">{_content(row[0])}</th>{"".join(map(_cell, row[1:]))}</tr>' for row in listed)
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _align(right: bool) -> str:  # noqa: FBT001  - a property of a column
    return ' class="n"' if right else ""


def _cell(cell: Cell) -> str:
    if isinstance(cell, Number):
        return f'<td class="n" data-value="{cell.value:.6g}">{escape(cell.words)}</td>'
    return f"<td>{_content(cell)}</td>"


def _content(cell: Cell) -> str:
    if isinstance(cell, Number):
        return escape(cell.words)
    if isinstance(cell, str):
        return shown(cell)
    return "".join(f'<span class="quote">{shown(text)}</span>' for text in cell.texts)


def draw_block(block: Block) -> str:
    """The routes of the worst pairs as a heat map: rows are right, columns are answers."""
    largest = max((n for i, row in enumerate(block.rows) for j, n in enumerate(row) if i != j), default=1)
    heads = "".join(f'<th scope="col"><span>{shown(route)}</span></th>' for route in (*block.routes, "any other"))
    body = []
    for i, (route, row, others) in enumerate(zip(block.routes, block.rows, block.others, strict=True)):
        cells = "".join(
            f'<td class="right">{n}</td>' if i == j else f'<td class="h{_shade(n, largest)}">{n or ""}</td>'
            for j, n in enumerate(row)
        )
        body.append(f'<tr><th scope="row">{shown(route)}</th>{cells}<td>{others or ""}</td></tr>')
    return (
        '<div class="scroll"><table class="heat"><caption>Held-out texts: the row is the route they stand under, the'
        " column the model's answer. Right answers in grey.</caption>"
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _shade(number: int, largest: int) -> int:
    """0 for none, then 1 to 4."""
    return -(-number * _HEAT // largest)
