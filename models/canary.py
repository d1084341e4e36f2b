"""A new version of models against the active one, on labelled texts, before it may take over."""

from __future__ import annotations

from math import comb
from time import perf_counter_ns
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from models import errors
from models.columns import aligned, declared
from models.data import Example, Row
from models.inputs import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from models.registry import LoadedModels, LoadedRung

CANARY_FILE = "canary.json"
_CHANCE = 0.05  # a loss that two equally good versions would show this often is none
_LEAST_LOST = 2  # rows


class RungComparison(Struct, frozen=True, kw_only=True):
    """One rung of the new version against `against`, a rung of the active one, on the same texts.

    `agreement_share`: the same label. `sure_share`: at or above the rung's threshold. `p_value`: how often chance
    alone would make the new one look this much worse (McNemar's exact test, one sided).
    """

    against: str
    agreement_share: float
    accuracy: float
    accuracy_active: float
    sure_share: float
    sure_share_active: float
    p_value: float


class Comparison(Struct, frozen=True, kw_only=True):
    """All that was compared. `texts` is 0 where `note` says why nothing was."""

    texts: int
    rungs: dict[str, RungComparison] = {}
    new_routes: tuple[str, ...] = ()
    lost_routes: tuple[str, ...] = ()
    note: str = ""


class Answer(Struct, frozen=True):
    """What a rung said of one text; no label where it failed."""

    label: str | None
    is_sure: bool


def read(version_dir: Path) -> list[Example]:
    """The canary texts of a version; none where it has none. Raises: ManifestError: unreadable."""
    path = version_dir / CANARY_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Example])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.ManifestError(path, f"cannot be read ({error}); train again") from error


def compare(new: LoadedModels, active: LoadedModels, rows: Sequence[Row], rest: Callable[[int], None]) -> Comparison:
    """Ask both versions about the rows whose routes both know: the best rung of each, and those of equal name.

    Args:
        rows: with the values of the new version's columns.
        rest: called after each answer with what it cost in ns, so that the caller's thread can let others run.
    Raises: BadOutput, RunFailed: the new version failed; where the active one does, its answer is wrong.
    """
    known, knew = set(new.manifest.labels), set(active.manifest.labels)
    shared = [row for row in (Example(*row) for row in rows) if row.route in known & knew]
    new_routes, lost_routes = tuple(sorted(known - knew)), tuple(sorted(knew - known))
    if not shared:
        note = f"not compared: of {len(rows)} canary texts none has a route that both versions know"
        return Comparison(texts=0, new_routes=new_routes, lost_routes=lost_routes, note=note)
    truth = [row.route for row in shared]
    columns, active_columns = declared(new.manifest.columns), declared(active.manifest.columns)
    asked = [Question(row.text, row.values) for row in shared]
    asked_active = [Question(text, aligned(values, columns, active_columns)) for text, values in asked]
    answers: dict[str, list[Answer]] = {}
    rungs = {}
    for name, against in _pairs(new, active):
        ours = [_ask(new.rungs[name], question, rest) for question in asked]
        if against not in answers:
            answers[against] = [_try(active.rungs[against], question, rest) for question in asked_active]
        rungs[name] = judge(against, truth, ours, answers[against])
    return Comparison(texts=len(shared), rungs=rungs, new_routes=new_routes, lost_routes=lost_routes)


def judge(against: str, truth: Sequence[str], new: Sequence[Answer], active: Sequence[Answer]) -> RungComparison:
    """Pure: answers of two rungs to the same texts, at least one."""
    number = len(truth)
    right = [answer.label == route for answer, route in zip(new, truth, strict=True)]
    was_right = [answer.label == route for answer, route in zip(active, truth, strict=True)]
    lost = sum(was and not now for was, now in zip(was_right, right, strict=True))
    won = sum(now and not was for was, now in zip(was_right, right, strict=True))
    return RungComparison(
        against=against,
        agreement_share=sum(ours.label == theirs.label for ours, theirs in zip(new, active, strict=True)) / number,
        accuracy=sum(right) / number,
        accuracy_active=sum(was_right) / number,
        sure_share=sum(answer.is_sure for answer in new) / number,
        sure_share_active=sum(answer.is_sure for answer in active) / number,
        p_value=_at_least(lost, lost + won),
    )


def refuse_loss(comparison: Comparison, loss_share: float) -> None:
    """Raises: LessAccurate: a rung lost more than `loss_share` of the texts, two at least, and beyond chance."""
    for name, rung in comparison.rungs.items():
        lost_share = rung.accuracy_active - rung.accuracy
        is_real = round(lost_share * comparison.texts) >= _LEAST_LOST and rung.p_value <= _CHANCE
        if lost_share > loss_share and is_real:
            raise errors.LessAccurate(
                f"{name}: right on {rung.accuracy:.1%} of {comparison.texts} canary texts, {rung.against} of the active"
                f" version on {rung.accuracy_active:.1%}; models.canary_loss_share allows a loss of {loss_share:.1%}"
            )


def _pairs(new: LoadedModels, active: LoadedModels) -> list[tuple[str, str]]:
    """Rungs to compare: those of the same name, but the new best one with the active best one. Best rungs are last."""
    best, best_active = list(new.rungs)[-1], list(active.rungs)[-1]
    return [(name, name) for name in new.rungs if name != best and name in active.rungs] + [(best, best_active)]


def _ask(rung: LoadedRung, question: Question, rest: Callable[[int], None]) -> Answer:
    began_ns = perf_counter_ns()
    found = rung.classifier.predict(*question)
    rest(perf_counter_ns() - began_ns)
    return Answer(found.label, found.confidence >= rung.classifier.spec.threshold)


def _try(rung: LoadedRung, question: Question, rest: Callable[[int], None]) -> Answer:
    try:
        return _ask(rung, question, rest)
    except (errors.BadOutput, errors.RunFailed):
        return Answer(None, is_sure=False)


def _at_least(count: int, of: int) -> float:
    """Chance of `count` or more heads in `of` throws of a coin."""
    return sum(comb(of, each) for each in range(count, of + 1)) / float(2**of)
