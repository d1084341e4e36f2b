"""`takt evaluate`: what models are worth on labelled texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from models import store
from models.columns import declared
from models.data import read_csv
from models.errors import DataError
from models.evaluate import evaluate
from models.spec import read_manifest
from router.commands.terminal import say, table

if TYPE_CHECKING:
    from argparse import Namespace

    from models.evaluate import Report


def run(args: Namespace) -> int:
    """Score every rung and print the report."""
    models_dir = store.resolve(args.models).path
    columns = declared(read_manifest(models_dir).columns)
    rows = read_csv(args.data, args.text_column, args.route_column, columns)
    try:
        report = evaluate(models_dir, rows)
    except DataError as error:
        raise DataError(f"{args.data}: {error}") from error
    if args.json:
        say(msgspec.json.encode(report).decode())
    else:
        _show(report)
    return 0


def _show(report: Report) -> None:
    columns = ("rung", "accuracy", "fp32", "surest 90 %", "ECE", "oos AUROC", "p50 us", "p99 us", "kB")
    rows = [
        (
            name,
            f"{rung.accuracy:.2%}",
            "-" if rung.accuracy_fp32 is None else f"{rung.accuracy_fp32:.2%}",
            f"{rung.coverage90_accuracy:.2%}",
            f"{rung.ece:.3f}",
            "-" if rung.auroc_oos is None else f"{rung.auroc_oos:.3f}",
            f"{rung.p50_us:.0f}",
            f"{rung.p99_us:.0f}",
            f"{rung.bytes / 1_000:.0f}",
        )
        for name, rung in report.rungs.items()
    ]
    table(columns, rows)
    say(f"{report.n} rows")
