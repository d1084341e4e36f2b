"""What the rung `small` is worth on CLINC150 and BANKING77: `python -m tests.bench.small_quality [DATA_DIR]`.

Three trainings with three seeds, test rows read once for each; TF-IDF and a linear SVM of scikit-learn in the same
run as the baseline. DATA_DIR holds `clinc150/data_full.json` and `banking77/{train,test}.csv`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import NamedTuple

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from models.data import Example, read_csv
from models.evaluate import evaluate
from models.spec import OUT_OF_SCOPE
from models.train import train

_SEEDS = (0, 1, 2)
_COLUMNS = (
    ("accuracy %", 100),
    ("int8 loss pt", 100),
    ("AUROC", 1),
    ("ECE", 1),
    ("coverage90 %", 100),
    ("MB", 1e-6),
    ("train s", 1),
    ("p50 us", 1),
    ("p99 us", 1),
)


class DataSet(NamedTuple):
    """Rows to train on, to validate on (None: the trainer holds some out), and to test on."""

    name: str
    train: list[Example]
    validation: list[Example] | None
    test: list[Example]


def read_clinc(data_dir: Path) -> DataSet:
    """All 151 classes; the published split."""
    parts = json.loads((data_dir / "clinc150" / "data_full.json").read_bytes())
    rows = {name: [Example(*row) for row in part] for name, part in parts.items()}
    return DataSet(
        "CLINC150", rows["train"] + rows["oos_train"], rows["val"] + rows["oos_val"], rows["test"] + rows["oos_test"]
    )


def read_banking(data_dir: Path) -> DataSet:
    """77 classes; the published split has no validation rows."""
    parts = (read_csv(data_dir / "banking77" / f"{part}.csv", route_column="category") for part in ("train", "test"))
    return DataSet("BANKING77", next(parts), None, next(parts))


def bench_small(data: DataSet, seed: int) -> list[float]:
    """One training and its test, in the order of `_COLUMNS`."""
    with tempfile.TemporaryDirectory() as directory:
        started = perf_counter()
        train(data.train, Path(directory), seed, validation=data.validation)
        train_s = perf_counter() - started
        rung = evaluate(Path(directory), data.test).rungs["small"]
    return [
        rung.accuracy,
        rung.accuracy_fp32 - rung.accuracy,
        np.nan if rung.auroc_oos is None else rung.auroc_oos,
        rung.ece,
        rung.coverage90_accuracy,
        rung.bytes,
        train_s,
        rung.p50_us,
        rung.p99_us,
    ]


def bench_baseline(data: DataSet) -> list[float]:
    """TF-IDF of words and pairs with a linear SVM; what has no meaning for it is NaN."""
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC())
    started = perf_counter()
    model.fit([row.text for row in data.train], [row.route for row in data.train])
    train_s = perf_counter() - started
    right, costs_us = [], []
    for text, route in data.test:
        started_ns = perf_counter_ns()
        answer = model.predict([text])[0]
        costs_us.append((perf_counter_ns() - started_ns) / 1_000)
        if route != OUT_OF_SCOPE:
            right.append(answer == route)
    p50_us, p99_us = np.percentile(costs_us, (50, 99))
    nan = float("nan")
    return [float(np.mean(right)), nan, nan, nan, nan, nan, train_s, float(p50_us), float(p99_us)]


def print_line(name: str, values: list[float]) -> None:
    """One line of the table."""
    cells = [
        "-" if np.isnan(v) else f"{v * scale:.3g}" if scale == 1 else f"{v * scale:.2f}"
        for v, (_, scale) in zip(values, _COLUMNS, strict=True)
    ]
    print(f"{name:<34}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


def main(data_dir: Path) -> None:
    """Print the table."""
    print(f"{'':<34}" + "".join(f"{name:>14}" for name, _ in _COLUMNS))
    for name, read in (("clinc150", read_clinc), ("banking77", read_banking)):
        if not (data_dir / name).is_dir():
            print(f"{name}: skipped, {data_dir / name} is not there")
            continue
        data = read(data_dir)
        runs = [bench_small(data, seed) for seed in _SEEDS]
        for seed, run in zip(_SEEDS, runs, strict=True):
            print_line(f"{data.name} small int8, seed {seed}", run)
        print_line(f"{data.name} small int8, mean", np.mean(runs, axis=0).tolist())
        print_line(f"{data.name} TF-IDF + LinearSVC", bench_baseline(data))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data"))
