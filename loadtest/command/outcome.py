"""The end of a run: judged, told, written. The same for a run that has just ended and for one from last year."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.errors import RunError
from loadtest.gate.judge import GateResult, judge
from loadtest.quantity import to_json
from loadtest.report import page, text
from loadtest.report.junit import to_junit
from loadtest.report.markdown import to_markdown
from loadtest.report.summary import summarise
from loadtest.terminal import facts, note, say, table
from loadtest.view import view

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from loadtest.compare import Comparison
    from loadtest.report.summary import Summary
    from loadtest.run import Run
    from loadtest.scenario.spec import GateSpec

HTML = "report.html"


def conclude(
    run: Run,
    args: Namespace,
    *,
    gates: Sequence[GateSpec] | None = None,
    comparison: Comparison | None = None,
) -> int:
    """Judge a run, tell what came of it, write what was asked for.

    Args: gates: in place of the scenario's.
    Returns: the exit code. Raises: RunError: a file cannot be written. ScenarioError: a gate that cannot be.
    """
    whole = view(run)
    judged = run.record.scenario.gates if gates is None else gates
    results = judge(whole, judged, payloads=run.payloads)
    if run.record.status != "complete":
        results = tuple(_not_judged(each) for each in results)
    summary = summarise(run, whole, results, comparison)
    files = dict(_files(run, args, summary))
    for path, content in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from error
    if args.json:
        say(*to_json(summary).decode().splitlines())
    elif args.md:
        say(*to_markdown(summary).splitlines())
    else:
        _tell(summary)
    for path in files:
        note(f"written: {path}")
    return summary.exit_code


def _not_judged(result: GateResult) -> GateResult:
    """The same gate: of requests that were not yet due there is nothing to say."""
    return GateResult(
        gate=result.gate,
        on=result.on,
        unit=result.unit,
        verdict="inconclusive",
        why="not judged: the run did not come to its end",
        confidence=result.confidence,
        limit=result.limit,
    )


def _files(run: Run, args: Namespace, summary: Summary) -> list[tuple[Path, bytes]]:
    files = []
    if args.html is not None:
        files.append((Path(args.html) if args.html else run.path / HTML, page.render(summary).encode()))
    if args.junit is not None:
        files.append((args.junit, to_junit(summary, strict=args.strict)))
    return files


def _tell(summary: Summary) -> None:
    """The verdict last: it is what stays on the screen."""
    for each in text.tables(summary):
        table(each.columns, each.rows)
        say("")
    facts(text.fact_pairs(summary))
    say(*text.books_lines(summary), "", *text.verdict_lines(summary))
