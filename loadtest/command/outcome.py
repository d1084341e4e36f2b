"""The end of a run: judged, told, written. The same for a run that has just ended and for one from last year."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.errors import FAILED, RunError
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

    from loadtest.agents.book import AgentsRecord
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
        if run.record.agents is not None:
            _tell_agents(run.record.agents)
    for path in files:
        note(f"written: {path}")
    is_broken = run.record.agents is not None and run.record.agents.over_capacity > 0
    return FAILED if is_broken else summary.exit_code


def _tell_agents(agents: AgentsRecord) -> None:
    """What those saw who took the tasks."""
    say("", f"{agents.agents} simulated agents")
    waits = (("created to offered", agents.offered), ("created to assigned", agents.assigned), ("told", agents.told))
    table(
        ("time", "tasks", "p50 ms", "p99 ms", "longest ms"),
        [
            (name, f"{each.count:,}", f"{each.p50_ms:,.1f}", f"{each.p99_ms:,.1f}", f"{each.max_ms:,.1f}")
            for name, each in waits
            if each is not None
        ],
    )
    share = f" ({agents.in_time / agents.accepted:.1%})" if agents.accepted else ""
    facts(
        [
            ("offers", f"{agents.offers:,}; accepted {agents.accepted:,}, of these in time {agents.in_time:,}{share}"),
            ("not accepted", f"{agents.lost_races:,} lost races, {agents.expired:,} too late, {agents.refused:,} else"),
            ("completed", f"{agents.completed:,}; still waiting in the end {agents.waiting:,}"),
            ("reconnected", f"{agents.reconnected:,}"),
            ("over capacity", f"{agents.over_capacity:,}" + (": FAIL, must be 0" if agents.over_capacity else "")),
        ]
    )


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
