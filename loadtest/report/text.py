"""The end of a run, in a terminal: lines and tables. Printing them is `terminal`'s business."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loadtest.quantity import show_ns
from loadtest.report.draw.detail import AGENT_TIMES, agent_counts, agent_times
from loadtest.report.draw.evidence import episode_words, gate_interval, gate_value
from loadtest.report.draw.section import banner_words, books_line, headlines, workers_line
from loadtest.report.draw.words import clock, count, counted, percent, rate, time, time_or_dash

if TYPE_CHECKING:
    from loadtest.report.summary import Summary


class Table(NamedTuple):
    """What `terminal.table` takes."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def verdict_lines(summary: Summary) -> list[str]:
    """The last lines of a run: what everything else is there for."""
    first, *rest = banner_words(summary)
    return [f"{summary.verdict.upper()}: {first}", *(f"  {line}" for line in rest)]


def fact_pairs(summary: Summary) -> list[tuple[str, str]]:
    """Names and values, for `terminal.facts`."""
    validity = summary.validity
    generator = (
        f"lag p99 {show_ns(validity.lag_p99_ns)}, {percent(validity.send_rate)} sent in time,"
        f" busy {percent(validity.cpu_share, 0)} of a core"
    )
    return [*((words, value) for value, words in headlines(summary)), ("generator", generator)]


def books_lines(summary: Summary) -> list[str]:
    """The conservation line, what contradicts it, and what is noted of the generator."""
    wrong = [f"MISMATCH: {each}" for each in summary.books.mismatches]
    return [books_line(summary), workers_line(summary), *wrong, *(f"note: {each}" for each in summary.validity.notes)]


def tables(summary: Summary) -> list[Table]:
    """Gates, percentiles, who answered, what broke and healed, what agents saw; those that have rows."""
    gates = tuple(
        (each.gate, each.on, each.verdict, gate_value(each, each.value), gate_interval(each), count(each.n), each.why)
        for each in summary.gates
    )
    percentiles = tuple(
        (percent(each.q, 4), time(each.intended_ns), time_or_dash(each.sent_ns)) for each in summary.latency.quantiles
    )
    groups = tuple(
        (
            f"{each.by} {each.name}",
            count(each.scheduled),
            rate(each.per_second),
            percent(each.attained),
            *(time(ns) for ns in (each.p50_ns, each.p90_ns, each.p99_ns)),
        )
        for each in summary.latency.groups
    )
    bands = tuple((each.name, count(each.total), percent(each.share)) for each in summary.ladder.bands)
    causes = tuple((each.rung, each.why, count(each.total), percent(each.share)) for each in summary.ladder.causes)
    episodes = tuple(
        (f"{each.trigger} {each.name}", clock(each.begin_ns), clock(each.end_ns), *episode_words(each))
        for each in summary.ladder.episodes
    )
    failures = tuple((each.what, each.outcome, count(each.requests)) for each in summary.failures.classes)
    found = [
        Table(("gate", "on", "verdict", "value", "interval", "n", "why"), gates),
        Table(("share", "from intended time", "from sending"), percentiles),
        Table(("of", "requests", "rate", "in time", "p50", "p90", "p99"), groups),
        Table(("answered by", "requests", "share"), bands),
        Table(("degraded to", "because of", "answers", "share"), causes),
        Table(("after", "from", "to", "degraded after", "full again"), episodes),
        Table(("without an answer", "outcome", "requests"), failures),
    ]
    if (told := summary.agents) is not None:
        found += [
            Table((counted(told.agents, "simulated agent"), "number"), tuple(agent_counts(told))),
            Table(AGENT_TIMES, tuple(agent_times(told))),
        ]
    return [each for each in found if each.rows]
