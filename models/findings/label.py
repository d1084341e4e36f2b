"""Rows whose label looks wrong: confident learning (Northcutt et al. 2021, "Confident Learning", JAIR 70)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.findings.checked import Checked

_NEVER = 2.0  # above every probability: a label that no held-out row has is never suggested


class Suspect(Struct, frozen=True, kw_only=True):
    """A text, the route it stands under, the one it looks like, and the probabilities of both."""

    text: str
    route: str
    share: float
    likely_route: str
    likely_share: float


class SuspectRows(NamedTuple):
    """Rows that look mislabelled, most suspicious first. Shapes: each int64[k]; `likely` indexes labels."""

    row: NDArray[np.int64]
    likely: NDArray[np.int64]


def find_suspects(shares: NDArray[np.float32], truth: NDArray[np.int64]) -> SuspectRows:
    """Rows whose own label is less probable than usual for it while another is as probable as usual there, or more.

    The usual probability of a label is its mean over the rows that carry it; so a label that is hard to learn doesn't
    make all its rows suspicious. Ranked by how far the other label is ahead. Rows without a label are left out.

    Shapes: shares: float32[n, labels], truth: int64[n].
    """
    known = np.flatnonzero(truth >= 0)
    given = truth[known]
    own = shares[known, given]
    number = np.bincount(given, minlength=shares.shape[1])
    usual = np.where(number, np.bincount(given, own, shares.shape[1]) / np.maximum(number, 1), _NEVER)
    others = np.where(shares[known] >= usual, shares[known], -1)
    others[np.arange(len(known)), given] = -1
    likely = others.argmax(axis=1)
    lead = others.max(axis=1) - own
    found = np.flatnonzero((own < usual[given]) & (others.max(axis=1) >= 0) & (lead > 0))
    found = found[np.argsort(-lead[found], kind="stable")]
    return SuspectRows(known[found], likely[found])


def describe(checked: Checked, suspects: SuspectRows) -> list[Suspect]:
    """`suspects` in words, by the best rung."""
    shares = checked.rungs[-1].shares
    return [
        Suspect(
            text=checked.texts[row],
            route=checked.labels[checked.truth[row]],
            share=float(shares[row, checked.truth[row]]),
            likely_route=checked.labels[likely],
            likely_share=float(shares[row, likely]),
        )
        for row, likely in zip(suspects.row.tolist(), suspects.likely.tolist(), strict=True)
    ]
