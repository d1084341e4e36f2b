"""What the page says first: the verdict in words, and the numbers that everybody asks for."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

from loadtest.report.draw.words import count, counted, percent, rate, time

if TYPE_CHECKING:
    from loadtest.report.section.latency import Quantile
    from loadtest.report.summary import Summary

BANNER = {
    "pass": "pass",
    "fail": "fail",
    "invalid": "fail",
    "inconclusive": "open",
    "interrupted": "open",
    "ungated": "open",
}


class Section(NamedTuple):
    """A part of the page. `body`: HTML."""

    slug: str
    title: str
    words: str
    body: str


def banner_words(summary: Summary) -> list[str]:
    """The verdict in sentences; the same in the page, in Markdown and in a terminal."""
    lines = []
    if summary.over_capacity:
        lines.append(f"Agents held more than they may, {counted(summary.over_capacity, 'time')}.")
    if summary.verdict == "invalid":
        lines.append("The numbers of this run do not tell about the server.")
    if summary.origin.status == "interrupted":
        lines.append("The run was interrupted, so no gate was judged; what was not sent by then is unsent.")
    if summary.origin.status == "planned":
        lines.append("The run was ended from outside before it was over.")
    lines += [_sentence(reason) for reason in summary.validity.reasons]
    if not summary.is_judged:
        return lines
    if not summary.gates:
        lines.append("No gate was asked for, so nothing was held or broken.")
        return lines
    held = sum(result.verdict == "pass" for result in summary.gates)
    lines.append(f"{held} of {counted(len(summary.gates), 'gate')} held.")
    for verdict in ("fail", "inconclusive"):
        found = [result for result in summary.gates if result.verdict == verdict]
        lines += [f"{verdict.capitalize()}: {result.gate} on {result.on}: {result.why}" for result in found]
    return lines


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:]}."


def headlines(summary: Summary) -> list[tuple[str, str]]:
    """The numbers that everybody asks for, with their names."""
    quantiles = {each.q: each for each in summary.latency.quantiles}
    throughput, quality = summary.throughput, summary.quality
    adjusted = quality.adjusted_goodput_per_s
    found = [
        (percent(summary.attainment.own), "in time, of all requests scheduled"),
        (time(quantiles[0.5].intended_ns), "p50 from the intended time"),
        (time(quantiles[0.99].intended_ns), f"p99{_unanswered(summary)}{_sent(quantiles[0.99])}"),
        (rate(throughput.goodput_per_s), f"in time, of {rate(throughput.scheduled_per_s)} scheduled"),
    ]
    if summary.ladder.full_share is not None:
        found += [
            (rate(adjusted), "in time x agreement" + (" (not known: no replay)" if adjusted is None else "")),
            (percent(summary.ladder.full_share), "answered at full quality"),
        ]
    if quality.degraded is not None:
        words = f"agreement of degraded answers, from {quality.degraded.n:,} repeated"
        found.append((percent(quality.degraded.value, 1), words))
    return found


def _unanswered(summary: Summary) -> str:
    """Why it may be never."""
    if not summary.latency.unanswered:
        return " from the intended time"
    share = percent(summary.latency.unanswered / summary.books.measured.scheduled)
    return f" from the intended time ({share} got no 200)"


def _sent(quantile: Quantile) -> str:
    """What a tool with another clock would have said."""
    return "" if quantile.sent_ns is None else f"; from sending it would be {time(quantile.sent_ns)}"


def cards(summary: Summary) -> str:
    drawn = "".join(f'<div class="card"><b>{value}</b>{escape(words)}</div>' for value, words in headlines(summary))
    return f'<section aria-label="In short"><div class="cards">{drawn}</div>{_books(summary)}</section>'


def books_line(summary: Summary) -> str:
    """The conservation of requests, in one line."""
    ledger = summary.books.measured
    return (
        f"{count(ledger.scheduled)} scheduled = {count(ledger.ok)} ok + {count(ledger.late)} late + "
        f"{count(ledger.shed)} shed + {count(ledger.error)} error + {count(ledger.unsent)} unsent + "
        f"{count(ledger.unfinished)} unfinished"
    )


def workers_line(summary: Summary) -> str:
    """The workers' own counters, warm-up included."""
    told = ", ".join(f"{each.workers:,} {each.what}" for each in summary.books.counts)
    lost = " (killed workers' counters are lost)" if summary.books.killed else ""
    return f"The generators' own counters, warm-up included: {told}{lost}."


def _books(summary: Summary) -> str:
    bad = summary.books.mismatches
    wrong = "".join(f"<br>{escape(each)}" for each in bad)
    kind = " fail" if bad else ""
    return (
        f'<p class="books{kind}">{escape(books_line(summary))}<br>'
        f'<span class="soft">{escape(workers_line(summary))}</span>{wrong}</p>'
    )
