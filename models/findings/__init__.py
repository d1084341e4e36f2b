"""What a training tells about its data: held-out answers in, things that a person would fix next out.

    checked    what goes in: held-out rows and each rung's calibrated probabilities
    coverage   a rung: accuracy against the share of texts kept, what the threshold keeps, reliability
    confusion  routes taken for each other
    label      rows that look mislabelled
    twin       near-duplicates, under two routes or within one

Pure: arrays in, frozen structs out. `models.report` makes a page of them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from models.errors import DataError
from models.evaluate import scope_of
from models.findings.checked import Checked, RungCheck, Top, top
from models.findings.confusion import (
    Block,
    Confusion,
    Overlap,
    RouteQuality,
    cut_block,
    list_confusions,
    list_overlaps,
    list_routes,
    matrix_of,
)
from models.findings.coverage import Bin, Point, RungQuality, assess
from models.findings.label import Suspect, describe, find_suspects
from models.findings.twin import Twin, find_twins
from models.spec import OUT_OF_SCOPE

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Bin",
    "Block",
    "Checked",
    "Confusion",
    "Findings",
    "Overlap",
    "Point",
    "RouteQuality",
    "RungCheck",
    "RungQuality",
    "Suspect",
    "Top",
    "Twin",
    "find",
]

FEW_EXAMPLES = 10
"""Routes with fewer are pointed out: on BANKING77 5, 10 and 20 examples a route gave 63, 75 and 81 % with n-grams."""

_ROUTES_SHOWN = 200


class Findings(Struct, frozen=True, kw_only=True):
    """What a person would fix next, and the figures behind it. `rungs` are in the order given, best last.
    Their thresholds were set so that `kept_accuracy` of what is kept is right.

    Counts: `examples` rows to learn from, `oos_examples` of them out of scope; `held_out` rows in scope, `mistakes` of
    them answered wrongly by the best rung. `suspect_mistakes`, `clash_mistakes` and `thin_mistakes` are those of the
    mistakes that look mislabelled, have a near-duplicate under another route, or are of a route with few examples.
    `clashes` are near-duplicates under two routes, `repeats` within one; `compared` rows were looked at for them.
    """

    rungs: tuple[RungQuality, ...]
    kept_accuracy: float
    examples: int
    oos_examples: int
    held_out: int
    mistakes: int
    routes: Top[RouteQuality]
    confusions: Top[Confusion]
    overlaps: Top[Overlap]
    block: Block
    suspects: Top[Suspect]
    suspect_mistakes: int
    clashes: Top[Twin]
    clash_mistakes: int
    repeats: Top[Twin]
    compared: int
    thin: Top[RouteQuality]
    thin_mistakes: int


def find(checked: Checked, examples: Sequence[tuple[str, str]]) -> Findings:
    """Findings from held-out answers and all rows (text, route) learned from; near-duplicates are sought among these.

    Raises: DataError: no held-out row is in scope.
    Cost: under 5 s for 10,000 rows on one core, nearly all of it the search for near-duplicates.
    """
    labels, truth = checked.labels, checked.truth
    in_scope = scope_of(truth, labels)
    if not in_scope.any():
        raise DataError("no held-out row is in scope; there is nothing to find")
    best = checked.rungs[-1]
    wrong = in_scope & (best.shares.argmax(axis=1) != truth)
    matrix = matrix_of(checked)
    learned = Counter(route for _, route in examples)
    suspects = find_suspects(best.shares, truth)
    routes = list_routes(checked, matrix, [learned[label] for label in labels])
    confusions = list_confusions(checked, matrix, suspects.row)
    twins, compared = _twins(checked, examples)
    clashes = [twin for twin in twins if twin.route != twin.other_route]
    clashing = {pair for twin in clashes for pair in ((twin.text, twin.route), (twin.other_text, twin.other_route))}
    thin = [route for route in routes if route.examples < FEW_EXAMPLES and route.route != OUT_OF_SCOPE]
    few = np.array([learned[label] < FEW_EXAMPLES for label in labels])
    return Findings(
        rungs=tuple(assess(rung, truth, labels) for rung in checked.rungs),
        kept_accuracy=checked.kept_accuracy,
        examples=len(examples),
        oos_examples=learned[OUT_OF_SCOPE],
        held_out=int(in_scope.sum()),
        mistakes=int(wrong.sum()),
        routes=top(routes, _ROUTES_SHOWN),
        confusions=top(confusions),
        overlaps=top(list_overlaps(confusions)),
        block=cut_block(labels, matrix, confusions),
        suspects=top(describe(checked, suspects)),
        suspect_mistakes=int(wrong[suspects.row].sum()),
        clashes=top(clashes),
        clash_mistakes=sum(
            (checked.texts[row], labels[truth[row]]) in clashing for row in np.flatnonzero(wrong).tolist()
        ),
        repeats=top([twin for twin in twins if twin.route == twin.other_route]),
        compared=compared,
        thin=top(thin),
        thin_mistakes=int(few[truth[wrong]].sum()),
    )


def _twins(checked: Checked, examples: Sequence[tuple[str, str]]) -> tuple[list[Twin], int]:
    """Near-duplicates among all examples by spelling, and where there are vectors among held-out rows by meaning."""
    texts, routes = zip(*examples, strict=True)
    twins, compared = find_twins(texts, routes)
    if checked.vectors is not None:
        known = np.flatnonzero(checked.truth >= 0)
        rows = [(checked.texts[i], checked.labels[checked.truth[i]]) for i in known.tolist()]
        twins += find_twins([text for text, _ in rows], [route for _, route in rows], checked.vectors[known])[0]
    once = {frozenset({(twin.text, twin.route), (twin.other_text, twin.other_route)}): twin for twin in reversed(twins)}
    return sorted(once.values(), key=lambda twin: (-twin.rank, twin.text, twin.other_text)), compared
