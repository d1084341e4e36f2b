"""The page: summary on top, then what it rests on."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING, Any

from models.findings.coverage import WANTED
from models.report.advice import advise, counted
from models.report.plot import draw_coverage, draw_reliability
from models.report.style import CSS, SCRIPT
from models.report.table import Number, Quotes, count, draw_block, draw_table, percent, shown

if TYPE_CHECKING:
    from models.findings import Findings, Top, Twin


def render(findings: Findings, about: str = "") -> str:
    """One HTML file that needs no other and asks for none. The same findings give the same bytes.

    Args: about: what was trained, for the line below the title: version, seed, date.
    """
    policy = f"default-src 'none'; style-src '{_hash(CSS)}'; script-src '{_hash(SCRIPT)}'"
    sections = (_summary, _next, _rungs, _confusions, _suspects, _clashes, _repeats, _routes)
    html = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Training report</title>'
        f"<style>{CSS}</style></head><body><main><header><h1>Training report</h1>"
        f'<p class="soft">{shown(about)}</p></header>{"".join(section(findings) for section in sections)}'
        f"</main><script>{SCRIPT}</script></body></html>\n"
    )
    return html.encode("utf-8", "replace").decode()  # lone surrogates could not be written to a file


def _hash(content: str) -> str:
    """`content` as a security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _summary(findings: Findings) -> str:
    best = findings.rungs[-1]
    mark = best.at_threshold
    cards = [
        (f"{best.accuracy:.1%}", f"right on texts it had not seen ({best.name})"),
        (f"{mark.kept_share:.1%}" if mark else "0%", f"kept at the threshold of {best.threshold:.2f}"),
        (f"{mark.accuracy:.1%}" if mark else "–", "right, of those kept"),
        (f"{findings.mistakes:,}", f"mistakes on {findings.held_out:,} held-out texts"),
    ]
    if best.oos_total:
        cards.append((f"{best.oos_kept:,} of {best.oos_total:,}", "out-of-scope texts sent to a route"))
    drawn = "".join(f'<div class="card"><b>{value}</b>{escape(words)}</div>' for value, words in cards)
    return f'<section aria-label="In short"><div class="cards">{drawn}</div></section>'


def _next(findings: Findings) -> str:
    items = []
    for advice in advise(findings):
        gain = ""
        if advice.mistakes:
            points = 100 * advice.mistakes / findings.held_out
            gain = (
                f'<span class="gain">touches {counted(advice.mistakes, "mistake")} of {findings.mistakes:,}, up to'
                f" {points:.1f} points.</span> "
            )
        items.append(
            f'<li><b>{escape(advice.work)}</b> {gain}{escape(advice.why)} <a href="#{advice.section}">Show</a></li>'
        )
    body = f"<ol>{''.join(items)}</ol>" if items else "<p>Nothing stands out.</p>"
    note = "In the order of the mistakes each touches; some are touched by more than one, so the points don't add up."
    return (
        f'<section><h2 id="next">What to fix next</h2><p class="soft">{note}</p>'
        f'<div class="next">{body}</div></section>'
    )


def _rungs(findings: Findings) -> str:
    rungs = [
        (
            rung.name,
            percent(rung.accuracy),
            Number(rung.ece, f"{rung.ece:.3f}"),
            Number(rung.threshold, f"{rung.threshold:.2f}"),
            percent(rung.at_threshold.kept_share if rung.at_threshold else 0),
            percent(rung.at_threshold.accuracy if rung.at_threshold else None),
            f"{rung.oos_kept:,} of {rung.oos_total:,}" if rung.oos_total else "–",
        )
        for rung in findings.rungs
    ]
    columns = ("rung", "accuracy", "calibration error", "threshold", "kept", "right, of those", "out of scope kept")
    choices = [
        (
            rung.name,
            Number(wanted, f"{wanted:.0%}"),
            Number(-1, "not reached") if point is None else Number(point.confidence, f"{point.confidence:.3f}"),
            percent(None if point is None else point.kept_share),
        )
        for rung in findings.rungs
        for wanted, point in zip(WANTED, rung.choices, strict=True)
    ]
    coverage = draw_coverage(findings.rungs, findings.kept_accuracy)
    return _section(
        "rungs",
        "How sure, how right",
        "A higher threshold sends fewer texts to a route, and more of those to the right one; the rest goes to the"
        " unsure route. A dot is the threshold in use. In the second plot a point below the line is a model too sure.",
        f'<div class="plots">{coverage}{draw_reliability(findings.rungs)}</div>',
        draw_table("Each rung at its threshold, on held-out texts", columns, rungs),
        draw_table("What another threshold would give", ("rung", "right, wanted", "threshold", "kept"), choices),
    )


def _confusions(findings: Findings) -> str:
    if not findings.confusions.total:
        return ""
    rows = [
        (
            each.route,
            each.answer,
            Number(each.rows, f"{each.rows} of {each.support}"),
            count(each.sent),
            count(each.suspects),
            Quotes(each.texts),
        )
        for each in findings.confusions.shown
    ]
    columns = ("stands under", "answered", "texts", "sent wrong", "suspect", "surest mistakes")
    return _section(
        "confusions",
        "Routes taken for each other",
        "“Sent wrong” are those at the threshold or above: what a team receives and must hand on. “Suspect” are those"
        " that look mislabelled.",
        draw_table(_of(findings.confusions, "pairs, most frequent first"), columns, rows),
        draw_block(findings.block),
    )


def _suspects(findings: Findings) -> str:
    if not findings.suspects.total:
        return ""
    rows = [
        (Quotes((each.text,)), each.route, percent(each.share), each.likely_route, percent(each.likely_share))
        for each in findings.suspects.shown
    ]
    columns = ("utterance", "stands under", "probability", "looks like", "its probability")
    return _section(
        "suspects",
        "Utterances that may stand under a wrong route",
        f"Among {findings.held_out:,} held-out texts. A model that had not seen the utterance found its route less"
        " probable than usual and another one as probable as usual there. The first are the most telling; further down"
        " more of them are right as they stand.",
        draw_table(_of(findings.suspects, "held-out utterances, most suspicious first"), columns, rows),
    )


def _clashes(findings: Findings) -> str:
    return _twins(
        findings.clashes,
        "clashes",
        "Near-identical, but under two routes",
        f"Among {findings.compared:,} utterances. Either one of them is misplaced, or the routes overlap.",
    )


def _repeats(findings: Findings) -> str:
    return _twins(
        findings.repeats,
        "repeats",
        "Near-identical under one route",
        f"Among {findings.compared:,} utterances. Other words, or another situation, would teach more.",
    )


def _twins(twins: Top[Twin], section: str, title: str, words: str) -> str:
    if not twins.total:
        return ""
    rows = [
        (
            Quotes((each.text,)),
            each.route,
            Quotes((each.other_text,)),
            each.other_route,
            Number(each.cosine, f"{each.cosine:.2f}"),
            each.way,
        )
        for each in twins.shown
    ]
    columns = ("utterance", "stands under", "and", "stands under", "cosine", "alike in")
    return _section(section, title, words, draw_table(_of(twins, "pairs, nearest first"), columns, rows))


def _routes(findings: Findings) -> str:
    rows = [
        (
            each.route,
            count(each.examples),
            count(each.support),
            percent(each.recall),
            percent(each.precision),
            count(each.misrouted),
        )
        for each in findings.routes.shown
    ]
    columns = ("route", "utterances", "held out", "found", "right when answered", "sent here wrongly")
    return _section(
        "routes",
        "Route by route",
        "“Found” is the share of a route's texts answered with it (recall), “right when answered” the share of its"
        " answers that belong to it (precision), both before the threshold. “Sent here wrongly” counts what is left"
        " above the threshold, out-of-scope texts included.",
        draw_table(_of(findings.routes, "routes, least found first"), columns, rows),
    )


def _section(name: str, title: str, words: str, *parts: str) -> str:
    return f'<section><h2 id="{name}">{escape(title)}</h2><p class="soft">{escape(words)}</p>{"".join(parts)}</section>'


def _of(listed: Top[Any], what: str) -> str:
    """How much of a list is shown."""
    if len(listed.shown) == listed.total:
        return f"{listed.total:,} {what}"
    return f"The first {len(listed.shown)} of {listed.total:,} {what}"
