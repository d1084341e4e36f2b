"""What findings are made of: what the rungs said of rows they had not learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.calibrate import KEPT_ACCURACY

T = TypeVar("T")
SHOWN = 20
"""Entries shown of a list: about what a person works through in one sitting."""


class RungCheck(NamedTuple):
    """What one rung said of the held-out rows.

    Shapes: shares: float32[n, labels], calibrated probabilities; threshold: below it a route is not taken;
    familiar: bool[n], False where a text is unlike all routes and so out of scope, None where that is not asked.
    """

    name: str
    shares: NDArray[np.float32]
    threshold: float
    familiar: NDArray[np.bool_] | None = None


class Checked(NamedTuple):
    """Held-out rows and what each rung said of them, best rung last.

    Shapes: truth: int64[n], index into labels, -1 for a row out of scope where no label says so;
    vectors: float32[n, d], unit sentence vectors of an encoder for the same rows, None without one. The thresholds were
    set so that `kept_accuracy` of what is kept is right.
    """

    labels: tuple[str, ...]
    texts: Sequence[str]
    truth: NDArray[np.int64]
    rungs: Sequence[RungCheck]
    vectors: NDArray[np.float32] | None = None
    kept_accuracy: float = KEPT_ACCURACY


class Top(Struct, Generic[T], frozen=True):
    """The first entries of a list, and how many there are in all."""

    shown: tuple[T, ...]
    total: int


def top(entries: Sequence[T], number: int = SHOWN) -> Top[T]:
    """`entries` cut to `number`."""
    return Top(tuple(entries[:number]), len(entries))


def routed(rung: RungCheck, routes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows a low enough threshold sends to a route. Shapes: routes: bool[labels], -> bool[n]."""
    answered: NDArray[np.bool_] = routes[rung.shares.argmax(axis=1)]
    return answered if rung.familiar is None else answered & rung.familiar


def kept(rung: RungCheck, routes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows are sent to a route at the rung's threshold. Shapes: routes: bool[labels], -> bool[n]."""
    sent: NDArray[np.bool_] = routed(rung, routes) & (rung.shares.max(axis=1) >= rung.threshold)
    return sent
