"""What people see: what load tests print too, and beside it bars and progress.

Whatever is printed loses its control characters: a customer's text must not steer the terminal of who reads it.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loadtest.terminal import clean, facts, is_rich, note, say, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Progress = Callable[[str, int, int], None]

__all__ = ["bar", "bars", "clean", "facts", "note", "progress", "say", "shares", "table"]

_BAR_CHARS = 30
_LEAST_SHARE = 0.005


def bars(values_ms: Mapping[str, float]) -> None:
    """Where time went, one bar a stage; the longest is full."""
    longest = max(values_ms.values(), default=0)
    width = max((len(name) for name in values_ms), default=0)
    for name, value in values_ms.items():
        say(f"    {name:<{width}}  {value:9.3f} ms  {bar(value / longest if longest else 0)}".rstrip())


def bar(share: float, chars: int = _BAR_CHARS) -> str:
    """A bar that is full at 1."""
    return ("█" if is_rich(sys.stdout) else "#") * round(chars * share)


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
