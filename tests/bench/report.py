"""What every bench says at its end: a table for people, JSON with the machine's facts for machines."""

from __future__ import annotations

import argparse
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

RESULTS = Path(__file__).parents[2] / "bench-results"


def parser(text: str | None) -> argparse.ArgumentParser:
    """With the arguments that every bench has."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="also write bench-results/NAME.json")
    made.add_argument("--seed", type=int, default=1)
    return made


def table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print columns as wide as they need to be."""
    lines = [header, *(tuple(_text(cell) for cell in row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    for number, line in enumerate(lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def write_json(name: str, arguments: argparse.Namespace, result: object) -> None:
    """Keep `result` with what it was measured on, if `--json` asks for it."""
    if not arguments.json:
        return
    RESULTS.mkdir(exist_ok=True)
    facts = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "arguments": vars(arguments),
        "result": result,
    }
    path = RESULTS / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2))
    print(f"written: {path.relative_to(RESULTS.parent)}")


def verdict(goal: str, *, is_met: bool) -> bool:
    print(f"{'PASS' if is_met else 'MISSED'}  {goal}")
    return is_met


def pace(label: str, began_s: float) -> None:
    """One line on stdout about a phase that has ended."""
    print(f"[{time.monotonic() - began_s:6.1f} s] {label}", flush=True)


def _text(cell: object) -> str:
    return f"{cell:,.2f}" if isinstance(cell, float) else str(cell)
