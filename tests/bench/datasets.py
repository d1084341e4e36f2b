"""CLINC150 and BANKING77 as every contender gets them: whole, or a few examples of each route drawn by a seed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.data import Example, read_csv
from models.spec import OUT_OF_SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class DataSet(NamedTuple):
    """Rows to train on, to validate on (None: a contender holds some out), and to test on."""

    train: Sequence[Example]
    validation: Sequence[Example] | None
    test: Sequence[Example]


def read_clinc(data_dir: Path) -> DataSet:
    """150 routes and rows out of scope; the published split."""
    parts = json.loads((data_dir / "clinc150" / "data_full.json").read_bytes())
    rows = {name: [Example(*row) for row in part] for name, part in parts.items()}
    return DataSet(rows["train"] + rows["oos_train"], rows["val"] + rows["oos_val"], rows["test"] + rows["oos_test"])


def read_banking(data_dir: Path) -> DataSet:
    """77 routes; the published split has no validation rows, and 35 to 187 rows of a route."""
    train, test = (
        read_csv(data_dir / "banking77" / f"{part}.csv", route_column="category") for part in ("train", "test")
    )
    return DataSet(train, None, test)


READERS: dict[str, Callable[[Path], DataSet]] = {"CLINC150": read_clinc, "BANKING77": read_banking}


def few(data: DataSet, shots: int, seed: int) -> DataSet:
    """`shots` training rows of each route, or all of one that has fewer, and nothing else: no row out of scope and
    none to validate on. The test rows stay. Fewer shots of a seed are among more shots of it.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[int]] = {}
    for at, row in enumerate(data.train):
        if row.route != OUT_OF_SCOPE:
            rows.setdefault(row.route, []).append(at)
    kept = sorted(int(at) for route in sorted(rows) for at in rng.permutation(rows[route])[:shots])
    return data._replace(train=[data.train[at] for at in kept], validation=None)


def hold_out(rows: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Rows to learn from, and `share` of each route's to check with: at least one, never the only one."""
    rng = np.random.default_rng(seed)
    routes = np.array([row.route for row in rows])
    held = np.zeros(len(rows), np.bool_)
    for route in np.unique(routes):
        at = np.flatnonzero(routes == route)
        held[rng.permutation(at)[: min(max(1, round(share * len(at))), len(at) - 1)]] = True
    return (
        [row for row, is_held in zip(rows, held, strict=True) if not is_held],
        [row for row, is_held in zip(rows, held, strict=True) if is_held],
    )
