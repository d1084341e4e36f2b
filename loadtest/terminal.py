"""What people see: lines, tables and, on a terminal, a few lines that are painted again and again.

Plain in pipes, in CI and where NO_COLOR is set. Whatever is printed loses its control characters: a file from
elsewhere must not steer the terminal of who reads it.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TextIO

    # A line is made of pieces, each with its style (https://rich.readthedocs.io/en/stable/style.html).
    Line = Sequence[tuple[str, str]]
    Paint = Callable[[Sequence[Line]], None]


def say(*lines: str) -> None:
    """Results, on stdout."""
    for line in lines:
        print(clean(line))  # noqa: T201 - the product's output


def note(*lines: str) -> None:
    """Everything else, on stderr, so that results can be piped."""
    for line in lines:
        print(clean(line), file=sys.stderr, flush=True)  # noqa: T201


def clean(text: str) -> str:
    r"""Text on one line without control, bidirectional and invisible characters: they are shown as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def is_rich(stream: TextIO) -> bool:
    """Whether colours and redrawn lines are welcome (https://no-color.org); in CI they are not."""
    is_dumb = os.environ.get("TERM") == "dumb" or "utf" not in (stream.encoding or "").lower()
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("CI") == "true"
    return stream.isatty() and not is_dumb and not is_plain


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; columns in which every cell begins with a digit are aligned to the right."""
    cells = [[clean(cell) for cell in row] for row in rows]
    numeric = [all(row[at][:1].isdigit() for row in cells) for at in range(len(columns))]
    if not is_rich(sys.stdout):
        widths = [max(len(row[at]) for row in [list(columns), *cells]) for at in range(len(columns))]
        for row in [list(columns), *cells]:
            padded = [
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numeric, strict=True)
            ]
            say("  ".join(padded).rstrip())
        return
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table()
    for column, right in zip(columns, numeric, strict=True):
        drawn.add_column(Text(column), justify="right" if right else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))  # Text: brackets in a cell are no markup
    Console().print(drawn)


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values below each other."""
    known = list(pairs)
    width = max((len(name) for name, _ in known), default=0)
    say(*(f"  {name:<{width}}  {value}" for name, value in known))


@contextmanager
def painting() -> Iterator[Paint]:
    """What to call with the lines to show instead of those before; they go away in the end. On stderr, no thread."""
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as shown:

        def paint(lines: Sequence[Line]) -> None:
            texts = (Text.assemble(*((clean(piece), style) for piece, style in line)) for line in lines)
            shown.update(Text("\n", no_wrap=True, overflow="crop").join(texts), refresh=True)

        yield paint
