"""Pairs of texts that say nearly the same: under two routes they contradict each other, under one they repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from msgspec import Struct
from scipy import sparse

from models.features import Features
from models.spec import FeatureSpec
from models.table import count_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Way = Literal["spelling", "meaning"]

_MAX_ROWS = 20_000  # compared with each other in some 5 s; of more, evenly spaced ones are
_BLOCK = 512  # rows compared at a time: 40 MB of cosines at the most
_FOLDED = 256  # columns that n-grams are folded into to find candidates; a cosine of .8 is then off by .02 (1 sigma)
_MARGIN = 0.08  # so candidates are taken from this far below the floor, and measured in full
FLOORS: dict[Way, float] = {"spelling": 0.8, "meaning": 0.95}
"""Cosine from which two texts are near-duplicates: chosen by reading BANKING77's pairs, further apart they differ."""


class Twin(Struct, frozen=True, kw_only=True):
    """Two texts, and their cosine by n-grams ("spelling") or by an encoder's vectors ("meaning")."""

    text: str
    route: str
    other_text: str
    other_route: str
    cosine: float
    way: Way

    @property
    def rank(self) -> float:
        """How near, in 0..1, comparable between both ways."""
        floor = FLOORS[self.way]
        return (self.cosine - floor) / (1 - floor)


class _Pairs(NamedTuple):
    """Shapes: each [k]; left < right, each pair once."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    cosine: NDArray[np.float32]


def find_twins(
    texts: Sequence[str], routes: Sequence[str], vectors: NDArray[np.float32] | None = None
) -> tuple[list[Twin], int]:
    """Of each text its nearest under another route and under its own, where near enough; nearest pairs first.

    Shapes: vectors: float32[texts, d], unit; without them texts are compared by their n-grams.
    Returns: the pairs, and how many texts were compared (20,000 at most).
    """
    way: Way = "spelling" if vectors is None else "meaning"
    chosen = slice(None, None, max(1, -(-len(texts) // _MAX_ROWS)))
    texts, routes = texts[chosen], routes[chosen]
    _, group = np.unique(np.array(routes), return_inverse=True)
    if vectors is None:
        grams = weigh(texts)
        found = _nearest(_fold(grams), group, FLOORS[way] - _MARGIN)
        exact = np.asarray(grams[found.left].multiply(grams[found.right]).sum(axis=1), np.float32).ravel()
        found = found._replace(cosine=exact)
    else:
        found = _nearest(vectors[chosen], group, FLOORS[way])
    order = np.lexsort((found.right, found.left, -found.cosine))
    twins = [
        Twin(
            text=texts[left],
            route=routes[left],
            other_text=texts[right],
            other_route=routes[right],
            cosine=min(float(cosine), 1.0),
            way=way,
        )
        for left, right, cosine in zip(*(values[order].tolist() for values in found), strict=True)
        if cosine >= FLOORS[way]
    ]
    return twins, len(texts)


def weigh(texts: Sequence[str]) -> sparse.csr_matrix:
    """Unit rows of n-gram counts, each weighted by how rare the n-gram is. Shapes: -> float32[texts, buckets]."""
    spec = FeatureSpec()
    counts = count_ids(texts, Features(spec), spec.buckets)
    having = np.bincount(counts.indices, minlength=spec.buckets)
    rarity = np.log((1 + len(texts)) / (1 + having)) + 1
    counts.data *= rarity[counts.indices].astype(np.float32)
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    counts.data /= np.repeat(lengths, np.diff(counts.indptr)).astype(np.float32)
    return counts


def _fold(grams: sparse.csr_matrix) -> NDArray[np.float32]:
    """Few dense columns with nearly the same cosines (count sketch: Charikar et al. 2002). Shapes: -> [texts, 256].

    The ids are hashes, so their low bits name the column and the next one the sign.
    """
    signs = np.where(grams.indices // _FOLDED % 2, 1, -1).astype(np.float32)
    columns = grams.indices % _FOLDED
    folded: NDArray[np.float32] = sparse.csr_matrix(
        (grams.data * signs, columns, grams.indptr), shape=(grams.shape[0], _FOLDED)
    ).toarray()
    folded /= np.maximum(np.linalg.norm(folded, axis=1, keepdims=True), np.float32(1e-6))
    return folded


def _nearest(rows: NDArray[np.float32], group: NDArray[np.int64], floor: float) -> _Pairs:
    """Of each row the nearest of another group and of its own, if its cosine is `floor` or more.

    At most two pairs a row, however many rows are alike. Cost: O(n^2 d), in blocks; rows sorted by group, so that a
    group's columns are a slice.
    """
    order = np.argsort(group, kind="stable")
    rows, group = rows[order], group[order]
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
    for start in range(0, len(rows), _BLOCK):
        here = np.arange(start, min(start + _BLOCK, len(rows)))
        cosine = rows[here] @ rows.T
        cosine[here - start, here] = -1  # itself
        for one in np.unique(group[here]):
            first, end = np.searchsorted(group, (one, one + 1))
            mine = here[group[here] == one]
            inside = cosine[mine - start, first:end]
            _take(found, mine, first + inside.argmax(axis=1), inside.max(axis=1), floor)
            cosine[mine - start, first:end] = -1
        _take(found, here, cosine.argmax(axis=1), cosine.max(axis=1), floor)
    left, right, value = (np.concatenate(each) for each in zip(*found, strict=True))
    left, right = order[left], order[right]
    left, right = np.minimum(left, right), np.maximum(left, right)
    _, first_seen = np.unique(left * len(rows) + right, return_index=True)
    return _Pairs(left[first_seen], right[first_seen], value[first_seen])


def _take(
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    cosine: NDArray[np.float32],
    floor: float,
) -> None:
    """Keep what is near enough."""
    near = cosine >= floor
    found.append((left[near], right[near], cosine[near]))
