"""loadtest.health: what makes a run invalid, and what is said of it."""

from __future__ import annotations

from pathlib import Path

from loadtest.health import Validity, check
from loadtest.run import FaultRecord, WorkerHealth, open_run
from loadtest.view import view
from tests.fabricated import MS, S, fabricate

COUNT = 1_000


def checked(path: Path, cpu_share: float = 0.2, **fields: object) -> Validity:
    cpu_ns = int(cpu_share * 10 * S)
    worker = WorkerHealth(
        index=0,
        ended="done",
        wall_ns=10 * S,
        cpu_ns=cpu_ns,
        paced_total=COUNT,
        sent_total=COUNT,
        answered_total=COUNT,
    )
    run = fabricate(path / "run", [MS] * COUNT, **{"workers": (worker,), **fields})  # type: ignore[arg-type]
    return check(run, view(run))


def test_a_run_that_kept_to_its_schedule_is_valid(tmp_path: Path) -> None:
    found = checked(tmp_path)
    assert (found.valid, found.reasons, found.notes) == (True, (), ())


def test_who_was_late_because_of_others_is_told_of_them(tmp_path: Path) -> None:
    (reason,) = checked(tmp_path, lag_ns=3 * MS, environment={"load": "5.0 4.0 3.0", "cores": "2"}).reasons
    assert "others kept it from its core (load 5.0 4.0 3.0 on 2 cores" in reason
    assert "lower the rate" not in reason


def test_who_was_late_of_too_much_work_is_told_to_do_less(tmp_path: Path) -> None:
    (reason,) = checked(tmp_path, cpu_share=0.7, lag_ns=3 * MS).reasons
    assert "lower the rate, or add --procs" in reason


def test_a_fault_that_was_not_played_makes_a_run_invalid(tmp_path: Path) -> None:
    """Else a server that cannot be broken passes every gate on how it bears that."""
    fault = FaultRecord(kind="server", what="large.delay_ms=200", begin_ns=S, end_ns=S, error="PUT /x: 404")
    found = checked(tmp_path, faults=(fault,))
    assert not found.valid
    assert found.reasons == ("fault server large.delay_ms=200 went wrong: PUT /x: 404",)


def test_a_run_whose_load_tester_was_killed_is_no_bug(tmp_path: Path) -> None:
    """Nobody has collected the workers' counters."""
    run = fabricate(tmp_path / "run", [MS] * COUNT, workers=())
    record = run.path / "run.json"
    record.write_text(record.read_text().replace('"complete"', '"planned"'))
    stopped = open_run(run.path)
    (reason,) = check(stopped, view(stopped)).reasons
    assert "was stopped before the run ended" in reason
