"""The report in short, for the comment under a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.report.draw.detail import metric_change, metric_value
from loadtest.report.draw.section import banner_words, books_line, headlines
from loadtest.report.text import tables
from loadtest.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loadtest.compare import Comparison
    from loadtest.report.summary import Summary


def to_markdown(summary: Summary) -> str:
    """GitHub's dialect; nothing in it is taken for HTML or a mention."""
    origin = summary.origin
    first, *rest = banner_words(summary)
    lines = [f"### Load test {_safe(origin.name)}: {summary.verdict.upper()}", "", _safe(first)]
    lines += [f"- {_safe(line)}" for line in rest]
    lines += ["", *_table(("what", "value"), [(words, f"**{value}**") for value, words in headlines(summary)])]
    lines += ["", _safe(books_line(summary))]
    lines += [f"- **Mismatch:** {_safe(each)}" for each in summary.books.mismatches]
    for table in tables(summary):
        lines += ["", *_table(table.columns, [[_safe(cell) for cell in row] for row in table.rows])]
    if summary.comparison is not None:
        lines += ["", *_comparison(summary.comparison)]
    told = f"Run {_safe(origin.id)}, seed {origin.seed}, engine {_safe(origin.engine)}, {_safe(origin.started_at)}"
    lines += ["", told + f": `{clean(origin.command).replace('`', chr(39))}`"]
    return "\n".join(lines) + "\n"


def _comparison(told: Comparison) -> list[str]:
    rows = [
        (
            _safe(each.name),
            metric_value(each, each.base),
            metric_value(each, each.new),
            metric_change(each, each.difference),
            f"{metric_change(each, each.low)} … {metric_change(each, each.high)}",
            each.verdict,
        )
        for each in told.metrics
    ]
    columns = ("of", _safe(told.base), _safe(told.new), "difference", "interval", "verdict")
    return [f"Against {_safe(told.base)}: **{told.verdict}**", "", *_table(columns, rows)]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]


def _safe(text: str) -> str:
    r"""Strangers' text: `<`, `|`, `@`, links and emphasis are shown as they stand."""
    shown = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")
    for char in "\\`*_[]|~":
        shown = shown.replace(char, f"\\{char}")
    return shown
