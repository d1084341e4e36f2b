"""How a run is concluded that did not come to its end."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from loadtest.command.outcome import conclude
from loadtest.run import FaultRecord, Run, open_run
from loadtest.sample import NEVER
from loadtest.scenario.spec import GateSpec
from tests.fabricated import MS, fabricate, scenario


def concluded(run: Run, **options: object) -> int:
    usual = {"html": None, "junit": None, "strict": False, "json": False, "md": False}
    return conclude(run, Namespace(**{**usual, **options}))


def interrupted(path: Path, sent: int) -> Run:
    """100 requests in a second, of which the first `sent` were sent and answered when it was interrupted."""
    latency_ns = [5 * MS] * sent + [NEVER] * (100 - sent)
    of = scenario(1, gates=[GateSpec(expr="attainment(50ms) >= 0.9 and p50 <= 20ms")])
    run = fabricate(path, latency_ns, of=of, status=200, ended_ns=sent * 10 * MS)
    samples = open_run(path, writable=True).samples
    for field in ("paced_ns", "sent_ns"):
        samples[field][sent:] = NEVER
    record = run.path / "run.json"
    record.write_text(record.read_text().replace('"complete"', '"interrupted"'))
    return open_run(path)


def test_an_interrupted_run_judges_no_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was not due yet would fail them all."""
    assert concluded(interrupted(tmp_path / "run", 20), json=True) == 130
    gates = json.loads(capsys.readouterr().out)["gates"]
    assert [(each["verdict"], each["value"]) for each in gates] == [("inconclusive", None)] * 2
    assert all("not judged" in each["why"] for each in gates)


def test_its_gates_are_errors_for_whoever_reads_junit(tmp_path: Path) -> None:
    assert concluded(interrupted(tmp_path / "run", 20), junit=tmp_path / "gates.xml") == 130
    assert (tmp_path / "gates.xml").read_text().count("<error") == 2


def test_what_is_noted_of_a_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert concluded(fabricate(tmp_path / "run", [5 * MS] * 100, clock_step_ns=3_000 * MS)) == 4
    assert "\nnote: the wall clock moved by 3.00 s during the run" in capsys.readouterr().out


def test_a_fault_that_went_wrong_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fault = FaultRecord(kind="server", what="loop", begin_ns=0, end_ns=MS, error="PUT: 404")
    assert concluded(fabricate(tmp_path / "run", [5 * MS] * 100, faults=(fault,))) == 4
    assert "  Fault server loop went wrong: PUT: 404." in capsys.readouterr().out


def test_a_run_that_was_interrupted_at_once_is_shown_without_nonsense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert concluded(interrupted(tmp_path / "run", 0)) == 130
    out = capsys.readouterr().out
    assert "lag p99 -," in out
    assert "nan" not in out
