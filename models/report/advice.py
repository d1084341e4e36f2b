"""What to fix next, in sentences: what touches most mistakes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from models.spec import OUT_OF_SCOPE

if TYPE_CHECKING:
    from models.findings import Findings

_PAIRS = 3
_NAMED = 5


class Advice(NamedTuple):
    """A piece of work, why, and how many held-out mistakes it touches; `section` is the page's id with the details."""

    work: str
    why: str
    mistakes: int
    section: str


def advise(findings: Findings) -> list[Advice]:
    """All advice there is reason for. Mistakes that look mislabelled are not counted again for confused routes."""
    found = [
        *_labels(findings),
        *_clashes(findings),
        *_pairs(findings),
        *_thin(findings),
        *_scope(findings),
        *_repeats(findings),
    ]
    return sorted(found, key=lambda advice: -advice.mistakes)


def counted(number: int, noun: str) -> str:
    """`number` with thousands marked and its noun, in the plural where it is due."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def _labels(findings: Findings) -> list[Advice]:
    if not findings.suspects.total:
        return []
    work = f"Check the route of {counted(findings.suspects.total, 'utterance')} that may stand under a wrong one."
    why = "The model is surer of another route than it usually is there. Correct them, or leave them if they are right."
    return [Advice(work, why, findings.suspect_mistakes, "suspects")]


def _clashes(findings: Findings) -> list[Advice]:
    if not findings.clashes.total:
        return []
    work = f"Decide {counted(findings.clashes.total, 'pair')} of near-identical utterances that stand under two routes."
    why = "Whatever is learned from one is wrong for the other. Move one of them, or reword it until a person can tell."
    return [Advice(work, why, findings.clash_mistakes, "clashes")]


def _pairs(findings: Findings) -> list[Advice]:
    """The pairs of routes that cost most, whatever looks mislabelled left out."""
    found = []
    for pair in findings.overlaps.shown[:_PAIRS]:
        mistakes = pair.rows - pair.suspects
        if not mistakes:
            break
        if pair.other_route == OUT_OF_SCOPE:
            work = f"Add utterances to “{pair.route}” like those it misses."
            why = "Texts of it were taken to belong to no route, those that look mislabelled not counted."
        else:
            work = f"Tell “{pair.route}” and “{pair.other_route}” apart."
            why = (
                "Texts of one went to the other, those that look mislabelled not counted."
                " Add utterances that show the difference, or merge the two routes."
            )
        found.append(Advice(work, why, mistakes, "confusions"))
    return found


def _thin(findings: Findings) -> list[Advice]:
    if not findings.thin.total:
        return []
    names = ", ".join(f"“{route.route}” ({route.examples})" for route in findings.thin.shown[:_NAMED])
    more = f" and {findings.thin.total - _NAMED:,} more" if findings.thin.total > _NAMED else ""
    work = f"Write more utterances for {names}{more}."
    why = "Below ten a route is learned poorly, and too few are held out to tell how poorly."
    return [Advice(work, why, findings.thin_mistakes, "routes")]


def _scope(findings: Findings) -> list[Advice]:
    best = findings.rungs[-1]
    if best.oos_kept:
        work = "Add out-of-scope utterances like those that are still sent to a route."
        why = f"{best.oos_kept:,} of {best.oos_total:,} held-out texts that belong to no route are sent to one."
        return [Advice(work, why, 0, "rungs")]
    if not findings.oos_examples and not best.oos_total:
        work = f"Collect some messages that belong to no route, under “{OUT_OF_SCOPE}”."
        why = "There are none, so nobody knows how many of them are sent to a route."
        return [Advice(work, why, 0, "rungs")]
    return []


def _repeats(findings: Findings) -> list[Advice]:
    if not findings.repeats.total:
        return []
    work = f"Replace one of each of {counted(findings.repeats.total, 'pair')} that say the same under one route."
    why = "They teach little, and make held-out accuracy look better than it will be on real traffic."
    return [Advice(work, why, 0, "repeats")]
