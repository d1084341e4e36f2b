"""How many wrong labels the training report finds: `python -m tests.bench.wrong_labels [DATA_DIR]`.

3 % of the labels of BANKING77's training rows and of the example bank are made wrong, either by any other route or by
one of the three that a model finds likeliest after the right one. Every row is held out once in five folds. What was
wrong before counts as a false alarm, so the shares are lower bounds. DATA_DIR holds `banking77/train.csv`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.calibrate import fit_temperature, softmax
from models.data import Example, read_csv
from models.evaluate import truth_of
from models.features import Features
from models.findings.label import find_suspects
from models.spec import FeatureSpec
from models.table import Rows, Settings, count_ids, fit

_BANK = Path(__file__).parents[2] / "examples" / "bank"
_SEEDS = (0, 1, 2)
_CHANGED_SHARE = 0.03
_FOLDS = 5
_NEIGHBOURS = 3


def hold_out_all(rows: Rows, labels: int) -> NDArray[np.float32]:
    """Logits of each row by a table that has not seen it. Shapes: -> float32[n, labels]."""
    fold = np.random.default_rng(0).permutation(len(rows.truth)) % _FOLDS
    logits = np.empty((len(rows.truth), labels), np.float32)
    for number in range(_FOLDS):
        held = fold == number
        learned = Rows(rows.counts[~held], rows.truth[~held])
        table = fit(learned, labels, Settings(), np.random.default_rng(0), lambda _done, _total: None)
        logits[held] = table.logits(rows.counts[held])
    return logits


def spoil(
    truth: NDArray[np.int64], clean: NDArray[np.float32], kind: str, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels with some of them wrong, and the rows these are of."""
    changed = rng.choice(len(truth), round(_CHANGED_SHARE * len(truth)), replace=False)
    others = clean[changed].copy()
    others[np.arange(len(changed)), truth[changed]] = -np.inf
    choices = _NEIGHBOURS if kind == "similar" else clean.shape[1] - 1
    ranked = np.argsort(-others, axis=1)[:, :choices]
    spoiled = truth.copy()
    spoiled[changed] = ranked[np.arange(len(changed)), rng.integers(choices, size=len(changed))]
    return spoiled, changed


def bench(name: str, examples: list[Example]) -> None:
    """Print a line for each kind of wrong label, means over the seeds."""
    labels = sorted({row.route for row in examples})
    spec = FeatureSpec()
    counts = count_ids([row.text for row in examples], Features(spec), spec.buckets)
    truth = truth_of([row.route for row in examples], labels)
    clean = hold_out_all(Rows(counts, truth), len(labels))
    accuracy = (clean.argmax(axis=1) == truth).mean()
    for kind in ("random", "similar"):
        runs = []
        for seed in _SEEDS:
            spoiled, changed = spoil(truth, clean, kind, np.random.default_rng(seed))
            logits = hold_out_all(Rows(counts, spoiled), len(labels))
            suspects = find_suspects(softmax(logits, fit_temperature(logits, spoiled)), spoiled)
            hits = np.isin(suspects.row, changed)
            runs.append((len(changed), len(hits), hits[:20].mean(), hits[:100].mean(), hits.sum() / len(changed)))
        mean = np.mean(runs, axis=0)
        print(
            f"{name:<12}{accuracy:>8.1%}  {kind:<10}{mean[0]:>6.0f}{mean[1]:>10.0f}"
            f"{mean[2]:>10.0%}{mean[3]:>10.0%}{mean[4]:>10.0%}",
            flush=True,
        )


def main(data_dir: Path) -> None:
    """Print the table."""
    print("data        accuracy  wrong      rows  suspects  right@20 right@100     found")
    bench("bank", [row for part in ("en", "de") for row in read_csv(_BANK / f"utterances.{part}.csv")])
    if (data_dir / "banking77").is_dir():
        bench("BANKING77", read_csv(data_dir / "banking77" / "train.csv", route_column="category"))
    else:
        print(f"banking77: skipped, {data_dir / 'banking77'} is not there")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data"))
