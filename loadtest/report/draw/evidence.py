"""The page's first sections: gates, validity, latency, attainment, rungs, quality."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from loadtest.quantity import show_ns
from loadtest.report.draw.bar import draw_histogram
from loadtest.report.draw.curve import draw_attainment, draw_percentiles
from loadtest.report.draw.section import Section
from loadtest.report.draw.table import Cell, Code, Mark, Number, Why, draw_table, side_by_side
from loadtest.report.draw.timeline import draw_heat, draw_mix
from loadtest.report.draw.words import NONE, clock, count, counted, interval, percent, rate, time, time_or_dash

if TYPE_CHECKING:
    from loadtest.gate.judge import GateResult
    from loadtest.report.section.agreement import Share
    from loadtest.report.section.ladder import Episode
    from loadtest.report.summary import Summary

MARKS = {"pass": "pass", "fail": "fail", "inconclusive": "open"}


def gate_value(result: GateResult, value: float | None) -> str:
    """In the gate's unit."""
    if value is None or value != value:  # noqa: PLR0124 - NaN: nothing to tell it from
        return "–"
    if result.unit == "ns":
        return show_ns(value)
    return percent(value, 2) if result.unit == "share" else rate(value)


def gate_interval(result: GateResult) -> str:
    low, high = gate_value(result, result.low), gate_value(result, result.high)
    return "–" if low == high == "–" else f"{low} … {high}"


def gates(summary: Summary) -> Section | None:
    if not summary.gates:
        return None
    rows = [
        (
            Code(each.gate),
            each.on,
            Mark(MARKS[each.verdict], each.verdict),
            Number(gate_value(each, each.value)),
            Number(gate_interval(each)),
            Number(percent(each.confidence)),
            Number(count(each.n)),
            Number("–" if each.n_eff is None else count(round(each.n_eff))),
            Number("–" if each.needed is None else count(round(each.needed))),
            Why(each.why),
        )
        for each in summary.gates
    ]
    columns = ("gate", "on", "verdict", "value", "interval", "confidence", "n", "n effective", "n needed", "why")
    return Section(
        "gates",
        "Gates",
        "A gate passes only if that many requests prove it at its confidence; too few are inconclusive. “n effective”"
        " is what the requests are worth, as misses come in clusters; “n needed” what a pass needs with these misses.",
        draw_table(counted(len(summary.gates), "gate"), columns, rows),
    )


def validity(summary: Summary) -> Section:
    told = summary.validity
    limits = (
        ("lag of the generator, median", show_ns(told.lag_p50_ns)),
        ("lag, p99", show_ns(told.lag_p99_ns)),
        ("lag, longest", show_ns(told.lag_max_ns)),
        ("handed over in time, worst phase", percent(told.send_rate)),
        ("busiest generator's share of a core", percent(told.cpu_share, 1)),
        ("garbage collections, longest", f"{told.gc_total}, {show_ns(told.gc_max_ns)}"),
        ("requests that waited for a connection", percent(told.waited_share)),
        ("step of the wall clock", show_ns(told.clock_step_ns)),
    )
    listed = "".join(f"<li>{escape(each)}</li>" for each in (*told.reasons, *told.notes))
    books = [(each.what, Number(count(each.workers)), Number(count(each.samples))) for each in summary.books.counts]
    return Section(
        "validity",
        "Is this run valid?",
        "Yes: the generator did what the scenario asks." if told.valid else "No: the generator fell short.",
        (f'<ul class="plain">{listed}</ul>' if listed else "")
        + '<div class="plots"><div>'
        + draw_table("The generator itself", ("what", "measured"), [(name, Number(value)) for name, value in limits])
        + draw_table("Counted twice, warm-up included", ("requests", "by the workers", "in the samples"), books)
        + "</div>"
        + draw_histogram("lag", "How late the generator sent", summary.lag, "handed over after the intended time")
        + "</div>",
    )


def latency(summary: Summary) -> Section:
    told = summary.latency
    quantiles = [
        (percent(each.q, 4), Number(time(each.intended_ns)), Number(time_or_dash(each.sent_ns)))
        for each in told.quantiles
    ]
    quantiles.append(("longest with an answer", Number(time_or_dash(told.max_ns)), Number("–")))
    quantiles.append(("mean of answers", Number(time_or_dash(told.mean_ns)), Number("–")))
    groups: list[tuple[Cell, ...]] = [
        (
            f"{each.by}: {each.name}",
            Number(count(each.scheduled)),
            Number(rate(each.per_second)),
            Number(percent(each.attained)),
            *(Number(time(ns)) for ns in (each.p50_ns, each.p90_ns, each.p99_ns, each.p999_ns, each.max_ns)),
        )
        for each in told.groups
    ]
    columns = ("of", "requests", "rate", "in time", "p50", "p90", "p99", "p99.9", "longest")
    return Section(
        "latency",
        "Latency",
        "From the time at which a request was due, of all requests; who never got a 200 has an infinite one. Beside it"
        " what a tool shows that starts its clock when it sends and counts answers alone: the difference is what such"
        " a tool hides.",
        f'<div class="plots">{draw_percentiles(told, summary.attainment.own_budgets_ns)}'
        f"{draw_heat(told.heat, summary.ladder)}</div>"
        + side_by_side(
            draw_table("Percentiles, side by side", ("share", "from intended time", "from sending"), quantiles),
            draw_table("By phase, class and rung (a rung: of its answers)", columns, groups),
        ),
    )


def attainment(summary: Summary) -> Section:
    told = summary.attainment
    marks = [(show_ns(mark.budget_ns), Number(percent(mark.share, 2))) for mark in told.marks]
    return Section(
        "attainment",
        "In time, for every budget",
        f"{percent(told.own)} of all scheduled requests met the budget they were sent with. The curve tells what"
        " another budget would have given, without asking again.",
        f'<div class="plots">{draw_attainment(told)}<div>'
        + draw_table("Share of all scheduled requests", ("within", "answered"), marks)
        + "</div></div>",
    )


def ladder(summary: Summary) -> Section:
    told = summary.ladder
    bands = [(band.name, Number(count(band.total)), Number(percent(band.share))) for band in told.bands]
    causes = [(each.rung, each.why, Number(count(each.total)), Number(percent(each.share))) for each in told.causes]
    episodes: list[tuple[Cell, ...]] = [
        (
            f"{each.trigger}: {each.name}",
            Number(clock(each.begin_ns)),
            Number(clock(each.end_ns)),
            *(Number(words) for words in episode_words(each)),
            Number(percent(each.full_share, 1)),
        )
        for each in told.episodes
    ]
    turns = [(clock(each.at_ns), each.before, each.after) for each in told.turns]
    listed = "" if told.turns_total == len(turns) else f", the first {len(turns)}"
    return Section(
        "ladder",
        "Which rung answered",
        (
            "The answers do not say by whom they are; “full” is answered, whatever the quality."
            if told.full_share is None
            else f"{percent(told.full_share)} of the measured requests were answered undegraded."
        )
        + f" Flapping, full quality that came back for less than 10 s: {told.flaps_total} times. Times are exact to a"
        " second.",
        f'<div class="plots">{draw_mix(told)}<div>'
        + draw_table("Who answered, warm-up included", ("by", "requests", "share"), bands)
        + draw_table("Why not the best rung", ("answered by", "because of", "answers", "share"), causes)
        + "</div></div>"
        + side_by_side(
            draw_table(
                "To degrade, and to recover (95 % of a second's requests undegraded)",
                ("after", "from", "to", "degraded after", "full again after its end", "full meanwhile"),
                episodes,
            ),
            draw_table(f"{told.turns_total} changes of the first rung{listed}", ("at", "before", "after"), turns),
        ),
    )


def episode_words(each: Episode) -> tuple[str, str]:
    """After which time quality was lost, and after which it was back."""
    if each.degrade_ns is None:
        return "not degraded", NONE
    return _after(each.degrade_ns), "never" if each.recover_ns is None else _after(each.recover_ns)


def _after(ns: int) -> str:
    return show_ns(ns) if ns else "at once"


def quality(summary: Summary) -> Section | None:
    """None: the answers say nothing of it."""
    told = summary.quality
    if summary.ladder.full_share is None:
        return None
    rows = [
        (
            each.rung,
            Number(count(each.answers)),
            Number(count(each.degraded)),
            Number(_share(each.agreement)),
            Number(_share(each.accuracy)),
            Number(_share(each.regret)),
            Number(percent(each.unsure_share, 1)),
        )
        for each in told.rungs
    ]
    columns = (
        "rung",
        "answers",
        "degraded",
        "agreement of degraded",
        "right, by label",
        "reference right more often",
        "unsure",
    )
    pairs = [
        (
            "full model" if each.by == "reference" else "label",
            each.expected,
            each.answered,
            Number(count(each.requests)),
        )
        for each in told.pairs
    ]
    adjusted = told.adjusted_goodput_per_s
    goodput = "not known, as degraded answers were not repeated" if adjusted is None else rate(adjusted)
    return Section(
        "quality",
        "How good the answers were",
        "Degraded answers are asked for again at zero load after the run; agreement is the share that gave the same"
        f" route. Intervals are Wilson's, 95 %. Rate in time x agreement: {goodput}."
        + (f" {told.without_reference} repetitions found no reference." if told.without_reference else ""),
        side_by_side(
            draw_table("By rung, of its answers", columns, rows),
            draw_table("Degraded answers that were wrong", ("against", "expected", "answered", "requests"), pairs),
        ),
    )


def _share(share: Share | None) -> str:
    if share is None:
        return "–"
    return f"{percent(share.value, 1)} ({interval(share.low, share.high)}; n {share.n:,})"
