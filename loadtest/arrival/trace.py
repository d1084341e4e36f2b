"""Recorded arrivals, played again."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from loadtest.errors import ScenarioError
from loadtest.sample import MAX_REQUESTS

COLUMN = "at"


def read_trace(path: Path, speed: float, for_s: float) -> np.ndarray:
    """Arrivals in seconds after the file's first, `speed` times as fast; those after `for_s` are left out.

    The file has a time in seconds a line, or is a CSV with a column `at`. Any origin will do, the Unix epoch too.

    Returns: float64, ascending, from 0 to before `for_s`.
    Raises: ScenarioError: no such file, a line that is no time or earlier than the one before; names both.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            times_s = np.fromiter(_times_s(path, file, speed, for_s), np.float64)
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ScenarioError(f"{path}: is no text file with a time a line: {error}") from error
    if not len(times_s):
        raise ScenarioError(f"{path}: holds no arrival; it needs a time in seconds a line, or a column {COLUMN!r}")
    return times_s


def _times_s(path: Path, file: TextIO, speed: float, for_s: float) -> Iterator[float]:
    first = last = -math.inf
    for count, (line, text) in enumerate(_cells(path, file)):
        try:
            time_s = float(text)
        except ValueError:
            time_s = math.nan
        if not math.isfinite(time_s):
            raise ScenarioError(f"{path}, line {line}: {text[:40]!r} is no time in seconds")
        if time_s < last:
            raise ScenarioError(f"{path}, line {line}: {text} is earlier than the line before; sort the file")
        first, last = (time_s if count == 0 else first), time_s
        after_s = (time_s - first) / speed
        if after_s >= for_s:
            return
        if count >= MAX_REQUESTS:
            raise ScenarioError(f"{path}: more than {MAX_REQUESTS:,} arrivals; a shorter `for` plays fewer of them")
        yield after_s


def _cells(path: Path, file: TextIO) -> Iterator[tuple[int, str]]:
    """Line numbers and the text of a time; empty lines are left out."""
    rows = csv.reader(file)
    at: int | None = None
    for row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if at is None:  # the first line
            at = cells.index(COLUMN) if COLUMN in cells else 0
            if COLUMN in cells:
                continue
            if len(cells) > 1:
                raise ScenarioError(f"{path}: has columns {', '.join(cells)[:200]}, but none named {COLUMN!r}")
        if at >= len(cells):
            raise ScenarioError(f"{path}, line {rows.line_num}: has no column {COLUMN!r}")
        yield rows.line_num, cells[at]
