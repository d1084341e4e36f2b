"""Which routes are taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from models.evaluate import routes_of
from models.findings.checked import kept
from models.spec import OUT_OF_SCOPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.findings.checked import Checked

BLOCK_ROUTES = 12
"""Routes of the matrix shown: more can't be read on a page."""
_TEXTS = 3


class RouteQuality(Struct, frozen=True, kw_only=True):
    """One label: rows to learn from, held-out rows, and how it does on them; None where no row tells.

    `misrouted`: held-out texts, out-of-scope ones included, that would be sent here and belong elsewhere.
    """

    route: str
    examples: int
    support: int
    recall: float | None
    precision: float | None
    misrouted: int


class Confusion(Struct, frozen=True, kw_only=True):
    """Texts of `route` answered with `answer`, the surest mistakes as examples.

    `rows` of the route's `support` rows; `sent` of them at the threshold or above; `suspects` of them look mislabelled.
    """

    route: str
    answer: str
    rows: int
    support: int
    sent: int
    suspects: int
    texts: tuple[str, ...]


class Overlap(Struct, frozen=True, kw_only=True):
    """Two routes and the texts of either answered with the other; `suspects` of these look mislabelled."""

    route: str
    other_route: str
    rows: int
    suspects: int


class Block(Struct, frozen=True, kw_only=True):
    """How often each of a few routes (row) is answered with each of them (column), and with any other."""

    routes: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    others: tuple[int, ...]


def matrix_of(checked: Checked) -> NDArray[np.int64]:
    """Held-out rows by label and answer of the best rung. Shapes: -> int64[labels, labels]."""
    known = checked.truth >= 0
    size = len(checked.labels)
    cells = checked.truth[known] * size + checked.rungs[-1].shares[known].argmax(axis=1)
    return np.bincount(cells, minlength=size * size).reshape(size, size)


def list_routes(checked: Checked, matrix: NDArray[np.int64], learned: Sequence[int]) -> list[RouteQuality]:
    """All labels, those with the lowest recall first. `learned`: rows to learn from by label."""
    sent = kept(checked.rungs[-1], routes_of(checked.labels))
    answers = checked.rungs[-1].shares.argmax(axis=1)
    misrouted = np.bincount(answers[sent & (answers != checked.truth)], minlength=len(checked.labels))
    support, answered, right = matrix.sum(axis=1), matrix.sum(axis=0), matrix.diagonal()
    routes = [
        RouteQuality(
            route=label,
            examples=learned[i],
            support=int(support[i]),
            recall=float(right[i] / support[i]) if support[i] else None,
            precision=float(right[i] / answered[i]) if answered[i] else None,
            misrouted=int(misrouted[i]),
        )
        for i, label in enumerate(checked.labels)
    ]
    return sorted(routes, key=lambda each: (each.recall is None, each.recall, -each.misrouted))


def list_confusions(checked: Checked, matrix: NDArray[np.int64], suspects: NDArray[np.int64]) -> list[Confusion]:
    """All ordered pairs that occur, most frequent first. Shapes: suspects: int64[k], rows that look mislabelled."""
    best, labels = checked.rungs[-1], checked.labels
    answers, confidence = best.shares.argmax(axis=1), best.shares.max(axis=1)
    sent = kept(best, routes_of(labels))
    suspected = np.zeros(len(answers), np.bool_)
    suspected[suspects] = True
    pairs = np.argwhere((matrix > 0) & ~np.eye(len(labels), dtype=np.bool_))
    support = matrix.sum(axis=1)
    pairs = pairs[np.argsort(-matrix[tuple(pairs.T)], kind="stable")]
    found = []
    for truth, answer in pairs.tolist():
        rows = np.flatnonzero((checked.truth == truth) & (answers == answer))
        surest = rows[np.argsort(-confidence[rows], kind="stable")][:_TEXTS]
        found.append(
            Confusion(
                route=labels[truth],
                answer=labels[answer],
                rows=len(rows),
                support=int(support[truth]),
                sent=int(sent[rows].sum()),
                suspects=int(suspected[rows].sum()),
                texts=tuple(checked.texts[row] for row in surest.tolist()),
            )
        )
    return found


def list_overlaps(confusions: Sequence[Confusion]) -> list[Overlap]:
    """Both directions of a pair as one, most texts that don't look mislabelled first.

    Out-of-scope texts answered with a route are no mistakes between routes; a threshold has to hold them back.
    """
    pairs: dict[frozenset[str], list[Confusion]] = {}
    for confusion in confusions:
        if confusion.route != OUT_OF_SCOPE:
            pairs.setdefault(frozenset({confusion.route, confusion.answer}), []).append(confusion)
    overlaps = [
        Overlap(
            route=both[0].route,
            other_route=both[0].answer,
            rows=sum(each.rows for each in both),
            suspects=sum(each.suspects for each in both),
        )
        for both in pairs.values()
    ]
    return sorted(overlaps, key=lambda each: each.suspects - each.rows)


def cut_block(labels: Sequence[str], matrix: NDArray[np.int64], confusions: Sequence[Confusion]) -> Block:
    """The routes of the worst pairs, each beside the one it is confused with."""
    names: dict[str, None] = {}
    for confusion in confusions:
        if len(names.keys() | {confusion.route, confusion.answer}) <= BLOCK_ROUTES:
            names |= dict.fromkeys((confusion.route, confusion.answer))
    index = {label: i for i, label in enumerate(labels)}
    chosen = np.array([index[name] for name in names], np.int64)
    inside = matrix[np.ix_(chosen, chosen)]
    others = matrix[chosen].sum(axis=1) - inside.sum(axis=1)
    return Block(routes=tuple(names), rows=tuple(map(tuple, inside.tolist())), others=tuple(others.tolist()))
