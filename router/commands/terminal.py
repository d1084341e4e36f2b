"""What people see: tables, bars and progress on a terminal; plain lines in pipes, in CI and where NO_COLOR is set.

The only importer of rich. Whatever is printed loses its control characters: a customer's text, or a file from
elsewhere, must not steer the terminal of who reads it.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

    Progress = Callable[[str, int, int], None]

_BAR_CHARS = 30
_LEAST_SHARE = 0.005


def say(*lines: str) -> None:
    """Results, on stdout."""
    for line in lines:
        print(clean(line))  # noqa: T201 - the product's output


def note(line: str) -> None:
    """Everything else, on stderr, so that results can be piped."""
    print(clean(line), file=sys.stderr)  # noqa: T201


def clean(text: str) -> str:
    r"""Text on one line without control, bidirectional and invisible characters: they are shown as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def is_rich(stream: TextIO) -> bool:
    """Whether colours and redrawn lines are welcome (https://no-color.org)."""
    is_dumb = os.environ.get("TERM") == "dumb" or "utf" not in (stream.encoding or "").lower()
    return stream.isatty() and not is_dumb and not os.environ.get("NO_COLOR")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; columns in which every cell begins with a digit are aligned to the right."""
    cells = [[clean(cell) for cell in row] for row in rows]
    numeric = [all(row[at][:1].isdigit() for row in cells) for at in range(len(columns))]
    if not is_rich(sys.stdout):
        for row in [list(columns), *cells]:
            widths = [max(len(each[at]) for each in [list(columns), *cells]) for at in range(len(columns))]
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
    width = max(len(name) for name, _ in known)
    say(*(f"  {name:<{width}}  {value}" for name, value in known))


def bars(values_ms: Mapping[str, float]) -> None:
    """Where time went, one bar a stage; the longest is full."""
    longest = max(values_ms.values(), default=0)
    width = max((len(name) for name in values_ms), default=0)
    glyph = "█" if is_rich(sys.stdout) else "#"
    for name, value in values_ms.items():
        bar = glyph * round(_BAR_CHARS * value / longest) if longest else ""
        say(f"    {name:<{width}}  {value:9.3f} ms  {bar}".rstrip())


def shares(confidences: Iterable[tuple[str, float]]) -> str:
    """Routes with their confidences on one line; what would be shown as 0.00 is left out."""
    return ", ".join(f"{route} {share:.2f}" for route, share in confidences if share >= _LEAST_SHARE)


@contextmanager
def progress() -> Iterator[Progress]:
    """What to call with a stage, steps done and steps in all: bars on a terminal, else one line a stage."""
    if not is_rich(sys.stderr):
        seen: set[str] = set()

        def tell(stage: str, done: int, total: int) -> None:  # noqa: ARG001 - lines need no steps
            if stage not in seen:
                seen.add(stage)
                note(f"{stage} ...")

        yield tell
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415
    from rich.progress import TaskID  # noqa: PLC0415

    with Bars(console=Console(stderr=True), transient=True) as shown:
        tasks: dict[str, TaskID] = {}

        def draw(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage)
            shown.update(tasks[stage], completed=done, total=total)

        yield draw
