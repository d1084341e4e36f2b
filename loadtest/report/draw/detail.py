"""The page's later sections: agents, where time went, whether the books are right, failures, comparison, origin."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from loadtest.quantity import MS, show_ns
from loadtest.report.draw.bar import draw_histogram, draw_waterfall
from loadtest.report.draw.section import Section
from loadtest.report.draw.table import Cell, Code, Mark, Number, Why, draw_table, side_by_side
from loadtest.report.draw.words import clock, count, counted, percent, rate, time_or_dash
from loadtest.report.section.part import share_of

if TYPE_CHECKING:
    from loadtest.agents.book import AgentsRecord
    from loadtest.compare import Metric
    from loadtest.report.summary import Summary

AGENT_TIMES = ("from", "tasks", "p50", "p99", "longest")
COMPARED = {"better": "pass", "equal": "pass", "worse": "fail", "different": "open", "inconclusive": "open"}


def agents(summary: Summary) -> Section | None:
    """None: the scenario has none."""
    told = summary.agents
    if told is None:
        return None
    times: list[tuple[Cell, ...]] = [(row[0], *map(Number, row[1:])) for row in agent_times(told)]
    counts = [(name, Number(cell)) for name, cell in agent_counts(told)]
    return Section(
        "agents",
        "Simulated agents",
        f"{counted(told.agents, 'agent')} took the tasks that the requests began. Waits are by the server's clock, an"
        " offer's way to its agent by the clocks of both; the warm-up is included.",
        side_by_side(
            draw_table("How long it took", AGENT_TIMES, times),
            draw_table("What they saw", ("what", "number"), counts),
        ),
    )


def agent_times(told: AgentsRecord) -> list[tuple[str, ...]]:
    """Of each kind of wait that was seen: `AGENT_TIMES`."""
    waits = (
        ("created to first offered", told.offered),
        ("created to assigned", told.assigned),
        ("offered to told the agent", told.told),
    )
    return [
        (
            name,
            count(each.count),
            *("not merged" if ms is None else show_ns(ms * MS) for ms in (each.p50_ms, each.p99_ms)),
            show_ns(each.max_ms * MS),
        )
        for name, each in waits
        if each is not None
    ]


def agent_counts(told: AgentsRecord) -> list[tuple[str, str]]:
    """What happened, and how often."""
    in_time = percent(share_of(told.in_time, told.accepted))
    found = (
        ("offered", told.offers),
        ("accepted", told.accepted),
        (f"accepted within the queue's target ({in_time})", told.in_time),
        ("not accepted: lost a race", told.lost_races),
        ("not accepted: too late", told.expired),
        ("not accepted: else", told.refused),
        ("completed", told.completed),
        ("still waiting in the end", told.waiting),
        ("connected again", told.reconnected),
        ("over capacity (must be 0)", told.over_capacity),
    )
    return [(name, count(number)) for name, number in found]


def waterfall(summary: Summary) -> Section | None:
    told = summary.waterfall
    if told is None:
        return None
    steps = [
        (
            each.name,
            {"before": "before it was sent", "server": "server", "between": "between"}[each.kind],
            Number(show_ns(each.mean_ns)),
            Number(show_ns(each.p99_ns)),
            Number(time_or_dash(each.late_mean_ns)),
            Number(time_or_dash(each.late_p99_ns)),
        )
        for each in told.steps
    ]
    gap = told.gap
    gaps = [("p50", gap.p50_ns), ("p90", gap.p90_ns), ("p99", gap.p99_ns), ("p99.9", gap.p999_ns), ("max", gap.max_ns)]
    columns = ("spent on", "where", "mean", "p99", "mean of late ones", "p99 of late ones")
    return Section(
        "waterfall-section",
        "Where misses were spent",
        f"Of {count(told.told)} answers that tell their own time, {count(told.late)} came late;"
        f" {count(gap.claimed_in_time)} of these were in time by the server's clock. What the client measured beyond"
        " the server's claim is the network and queues that the server cannot see.",
        f'<div class="plots">{draw_waterfall(told)}'
        + draw_histogram("gap", "Client's measure less server's claim", gap.histogram, "hidden from the server")
        + "</div>"
        + side_by_side(
            draw_table("Stage by stage", columns, steps),
            draw_table(
                "Hidden from the server", ("quantile", "gap"), [(name, Number(time_or_dash(ns))) for name, ns in gaps]
            ),
        ),
    )


def little(summary: Summary) -> Section | None:
    told = summary.little
    if told is None:
        return None
    rows = [
        ("in flight, time average", Number(f"{told.in_flight:.3g}")),
        ("in flight, most", Number(count(told.in_flight_max))),
        ("rate", Number(rate(told.rate_per_s))),
        ("mean stay", Number(show_ns(told.stay_ns))),
        ("rate x mean stay", Number(f"{told.expected:.3g}")),
        ("difference", Number(percent(told.difference_share))),
    ]
    verdict = "They agree." if told.agrees else "They differ by more than 5 %: the load was not steady over the time."
    return Section(
        "little",
        "Little's law",
        "Requests in flight must be rate times stay, or the numbers of this report contradict each other; what was due"
        f" just before the end may differ. {verdict}",
        draw_table("In flight, counted two ways", ("what", "measured"), rows),
    )


def failures(summary: Summary) -> Section:
    told = summary.failures
    classes = [
        (
            each.what,
            each.outcome,
            Number(count(each.requests)),
            Number(percent(each.share)),
            Number(str(each.example_row)),
        )
        for each in told.classes
    ]
    worst = [
        (
            Code(f"takt explain {each.decision_id}" if each.decision_id else "–"),
            Number(clock(each.at_ns)),
            each.phase,
            Number(show_ns(each.latency_ns)),
            Number(show_ns(each.budget_ns)),
            Number(show_ns(each.waited_ns)),
            Number(time_or_dash(each.server_ns)),
            each.outcome,
            each.rung,
            each.degraded,
            Number(str(each.row)),
        )
        for each in told.worst
    ]
    columns = (
        *("what the server knows of it", "due at", "phase", "latency", "budget", "before sending", "server's claim"),
        *("came", "rung", "degraded", "row"),
    )
    words = (
        "No request failed."
        if not classes
        else "By class, of all measured requests. Rows are those of the run's files."
    )
    return Section(
        "failures",
        "Failures, and the slowest answers",
        words,
        draw_table("Without an answer", ("what", "outcome", "requests", "share", "first row"), classes)
        + draw_table("The slowest with an answer", columns, worst),
    )


def comparison(summary: Summary) -> Section | None:
    told = summary.comparison
    if told is None:
        return None
    rows = [
        (
            each.name,
            Number(metric_value(each, each.base)),
            Number(metric_value(each, each.new)),
            Number(metric_change(each, each.difference)),
            Number(f"{metric_change(each, each.low)} … {metric_change(each, each.high)}"),
            Mark(COMPARED[each.verdict], each.verdict),
            Why(each.why or ("" if each.judged else "not judged")),
        )
        for each in told.metrics
    ]
    notes = "".join(f"<li>{escape(each)}</li>" for each in told.notes)
    columns = ("of", told.base, told.new, "difference", "interval", "verdict", "why")
    return Section(
        "comparison",
        "Against the baseline",
        f"Verdict: {told.verdict}. Differences within ±{percent(told.tolerance)} of a time, or"
        f" ±{percent(told.share_tolerance)} points of a share, count as equal; intervals hold together at"
        f" {percent(told.confidence)}." + ("" if told.paired else " The runs had different schedules."),
        (f'<ul class="plain">{notes}</ul>' if notes else "") + draw_table(f"{told.base} and {told.new}", columns, rows),
    )


def metric_value(metric: Metric, value: float) -> str:
    return show_ns(value) if metric.unit == "ns" else percent(value)


def metric_change(metric: Metric, difference: float) -> str:
    """Relative of a time, in points of a share."""
    return f"{100 * difference:+.2f} {'%' if metric.unit == 'ns' else 'points'}"


def origin(summary: Summary) -> Section:
    told = summary.origin
    facts = [
        ("run", told.id),
        ("status", told.status),
        ("begun", told.started_at),
        ("command", told.command),
        ("engine, workers", f"{told.engine}, {told.workers}"),
        ("seed", str(told.seed)),
        ("scenario, SHA-256", told.scenario_sha256),
        *(("merged from", name) for name in told.merged_from),
        *sorted(told.environment.items()),
    ]
    return Section(
        "origin",
        "Where these numbers come from",
        "Enough to do the same again.",
        draw_table("The run and its machine", ("what", "value"), facts)
        + f"<details><summary>The scenario</summary><pre>{escape(told.scenario)}</pre></details>",
    )
