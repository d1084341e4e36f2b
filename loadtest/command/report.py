"""`takt loadtest report RUN...`: everything again from the raw data; nothing is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from loadtest.command.outcome import conclude
from loadtest.compare import Comparison, compare
from loadtest.errors import PASSED, RunError, ScenarioError
from loadtest.gate.expression import gate_of
from loadtest.health import check
from loadtest.report.hdr import log_percentiles, to_log, to_percentiles
from loadtest.run import open_run
from loadtest.terminal import note, say
from loadtest.view import view

if TYPE_CHECKING:
    from argparse import Namespace

    from loadtest.view import View

_LOG = ".hlog"


def run(args: Namespace) -> int:
    """Returns: the exit code of the verdict, by the gates asked for now too; of several runs the first that is not 0.

    `--hgrm` alone and a log are no judgement: 0.
    Raises: RunError: no run; ScenarioError: a gate that cannot be.
    """
    if len(args.runs) > 1 and (args.html or args.junit or args.hlog):
        raise ScenarioError("--html FILE, --junit and --hlog take one run at a time")
    codes = [_report(Path(name), args) for name in args.runs]
    return next((code for code in codes if code != PASSED), PASSED)


def _report(path: Path, args: Namespace) -> int:
    if path.suffix == _LOG:
        say(*log_percentiles(path).splitlines())
        return PASSED
    found = open_run(path)
    whole = view(found)
    if args.hlog is not None:
        _write(args.hlog, to_log(whole.on("all")))
    if args.hgrm:
        say(*to_percentiles(whole.on("all")).splitlines())
        if not (args.json or args.md or args.junit or args.html is not None):
            return PASSED
    gates = (*found.record.scenario.gates, *(gate_of(text) for text in args.gate))
    return conclude(found, args, gates=gates, comparison=_against(args.baseline, whole, path))


def _against(baseline: Path | None, whole: View, path: Path) -> Comparison | None:
    if baseline is None:
        return None
    base = open_run(baseline)
    before = view(base)
    if reasons := check(base, before).reasons:
        note(f"{baseline}: invalid, so the comparison with it tells little: {reasons[0]}")
    # A seed of its own: the same two runs always give the same intervals.
    return compare([(before, whole)], np.random.default_rng(1), names=(baseline.name, path.name))


def _write(file: Path, content: str) -> None:
    """Raises: RunError: it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, "utf-8")
    except OSError as error:
        raise RunError(f"{file}: cannot be written: {error.strerror}") from error
    note(f"written: {file}")
