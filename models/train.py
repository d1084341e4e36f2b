"""From labelled texts to a directory of models: train, calibrate, quantise, verify."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from models import errors
from models.calibrate import KEPT_ACCURACY
from models.canary import CANARY_FILE
from models.candidate import Terms, finish
from models.data import Example, digest
from models.encoder.find import INSTALL
from models.findings import Checked, find
from models.findings.coverage import with_kept
from models.large import FILES, LARGE, train_large
from models.mix import add_columns
from models.report import render
from models.small import SMALL, train_small
from models.spec import Manifest, write_manifest
from models.task import make_task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.columns import Column
    from models.data import Row
    from models.encoder.find import Encoder
    from models.large import Tune
    from models.task import Progress, Steps, Task

_COMPARED_TEXTS = 200
_CANARY_ROWS = 200
REPORT, REPORT_FILE = "report", "report.html"


def _silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""


def train(  # noqa: PLR0913 - what a person may state
    examples: Sequence[Row],
    out_dir: Path,
    seed: int = 0,
    progress: Progress = _silent,
    *,
    validation: Sequence[Row] | None = None,
    columns: Sequence[Column] = (),
    encoder: Encoder | None = None,
    accurate: bool = False,
    kept_accuracy: float = KEPT_ACCURACY,
) -> Manifest:
    """Train on (text, route) rows and write rungs and manifest to `out_dir`: `small`, with an `encoder` also `large`.

    Rows with the route `oos` teach what belongs to no route. Without `validation` rows, temperature, threshold and
    the figures of the manifest come from rows held out of a first training, and the model written learns from all.
    The same rows and seed give the same files.

    Args:
        progress: called with a stage, steps done and steps in all.
        columns: what is known beside a text and joins in the scoring; each `Example` has their values.
        accurate: tune the encoder to the examples; needs torch, and minutes.
        kept_accuracy: of the routes that are taken, the share that shall be right; decides the threshold.
    Raises: DataError: too few routes or examples; QualityRefused: a rung of no use, or int8 costs too much accuracy.
    """
    task = make_task(examples, validation, seed, columns)
    terms = Terms(task.labels, kept_accuracy)
    out_dir.mkdir(parents=True, exist_ok=True)
    compared = slice(0, len(examples), -(-len(examples) // _COMPARED_TEXTS))
    sample, beside = task.texts[compared], task.values[compared]
    table = train_small(task, partial(progress, f"train {SMALL}"))
    finished = [finish(add_columns(table.candidate(sample), task, beside), terms, out_dir)]
    vectors, notes = None, _without_values(columns, task)
    if encoder is None:
        notes.append(f"no rung `{LARGE}`: no pretrained encoder was found; {INSTALL}")
    else:
        tune = _tuner() if accurate else None
        try:
            candidate = train_large(task, encoder, table, sample, out_dir, progress, tune=tune)
            finished.append(finish(add_columns(candidate, task, beside), terms, out_dir))
            vectors = candidate.held_out.vectors
        except errors.QualityRefused as error:  # `small` serves alone, and says why
            notes.append(f"no rung `{LARGE}`: {error}")
            for file in FILES:
                (out_dir / file).unlink(missing_ok=True)
    _write_canary(task, out_dir)
    manifest = Manifest(
        labels=task.labels,
        rungs=tuple(rung for rung, _ in finished),
        seed=seed,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=len(examples),
        data_sha256=digest(examples),
        encoder=None if encoder is None or vectors is None else f"{encoder.name} {encoder.weights_sha256}",
        notes=tuple(notes),
    )
    asked = [task.texts[at] for at in task.split.asked]
    checks = [check for _, check in finished]
    checked = Checked(task.labels, asked, task.truth[task.split.asked], checks, vectors, kept_accuracy)
    manifest = _write_report(manifest, checked, examples, out_dir, partial(progress, REPORT))
    write_manifest(out_dir, manifest)
    return manifest


def _write_report(
    manifest: Manifest, checked: Checked, examples: Sequence[Row], out_dir: Path, progress: Steps
) -> Manifest:
    """Write what a person would fix next. Returns: the manifest, with what the thresholds keep."""
    progress(0, 1)
    findings = find(checked, [(text, route) for text, route, *_ in examples])
    about = f"version {manifest.plan_version}, seed {manifest.seed}, {manifest.created_at}"
    (out_dir / REPORT_FILE).write_text(render(findings, about), "utf-8")
    progress(1, 1)
    rungs = tuple(with_kept(*each) for each in zip(manifest.rungs, findings.rungs, strict=True))
    return msgspec.structs.replace(manifest, rungs=rungs)


def _without_values(columns: Sequence[Column], task: Task) -> list[str]:
    known = {column.name for column in task.columns}
    return [f"no column `{column.name}`: no row has a value of it" for column in columns if column.name not in known]


def _tuner() -> Tune:
    """What tunes an encoder. Raises: TorchMissing."""
    if find_spec("torch") is None:
        raise errors.TorchMissing
    from models.encoder.tune import tune  # noqa: PLC0415 - takes seconds to import, and is not always there

    return tune


def _write_canary(task: Task, out_dir: Path) -> None:
    """Keep an even sample of the rows that checked, to compare a later version with this one."""
    asked = task.split.asked
    rows = asked[np.linspace(0, len(asked) - 1, min(len(asked), _CANARY_ROWS)).astype(int)]
    known = [
        Example(task.texts[at], task.labels[task.truth[at]], task.values[at]) for at in rows if task.truth[at] >= 0
    ]
    (out_dir / CANARY_FILE).write_bytes(msgspec.json.encode(known))
