from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from loadtest.errors import RunError, ScenarioError
from loadtest.run import PhaseRecord, RunRecord, create, open_run
from loadtest.sample import BAD_ANSWER, GAVE_UP, NEVER, RESET
from loadtest.view import FOREVER_NS, OUTCOMES, quantile_ns, view
from tests.fabricated import MS, S, fabricate


def test_each_request_becomes_one_thing(tmp_path: Path) -> None:
    statuses = [200, 200, 429, 503, 504, 500, 400, RESET, BAD_ANSWER, GAVE_UP, 200, 200]
    latency = [10, 60, 1, 1, 1, 1, 1, 1, 1, 1, NEVER, 50]
    run = fabricate(tmp_path / "a", [each * MS if each > 0 else NEVER for each in latency], status=statuses)
    seen = view(run)
    named = [OUTCOMES[each] for each in seen.outcome]
    assert named == [*("ok", "late"), *["shed"] * 3, *["error"] * 4, "unfinished", "unfinished", "ok"]
    assert seen.counts() == {"ok": 2, "late": 1, "shed": 3, "error": 4, "unsent": 0, "unfinished": 2}
    assert list(seen.latency_ns[2:11]) == [FOREVER_NS] * 9


def test_what_was_never_written_is_unsent_whatever_else_is_said(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "a", [10 * MS, 10 * MS])
    open_run(tmp_path / "a", writable=True).samples["sent_ns"][1] = NEVER
    assert view(open_run(run.path)).counts()["unsent"] == 1


def test_latency_counts_from_the_intended_time(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "a", [30 * MS], lag_ns=20 * MS)
    seen = view(run)
    assert int(seen.latency_ns[0]) == 30 * MS
    assert int(seen.send_latency_ns[0]) == 10 * MS - 5_000
    assert int(seen.lag_ns[0]) == 20 * MS


def test_budgets_are_each_their_own(tmp_path: Path) -> None:
    seen = view(fabricate(tmp_path / "a", [30 * MS, 30 * MS], budget_ns=[20 * MS, 40 * MS]))
    assert list(seen.met()) == [False, True]
    assert list(seen.met(30 * MS)) == [True, True]


def test_warm_up_is_in_no_number(tmp_path: Path) -> None:
    phases = (
        PhaseRecord(name="warmup", start_ns=0, end_ns=S, measure=False),
        PhaseRecord(name="steady", start_ns=S, end_ns=2 * S, measure=True),
    )
    seen = view(fabricate(tmp_path / "a", [MS] * 4, rate=2, phases=phases, phase=[0, 0, 1, 1]))
    assert (len(seen), len(seen.on("all")), len(seen.on("warmup"))) == (4, 2, 2)
    with pytest.raises(ScenarioError, match="'flash' is no phase; there are warmup, steady, and all"):
        seen.on("flash")


@pytest.mark.parametrize(
    ("q", "expected"), [(0.0, 1), (0.5, 2), (0.51, 3), (0.75, 3), (0.76, math.inf), (1.0, math.inf)]
)
def test_a_quantile_is_one_of_the_values(q: float, expected: float) -> None:
    assert quantile_ns(np.array([3, 1, FOREVER_NS, 2]), q) == expected


def test_the_quantile_of_nothing_is_no_number() -> None:
    assert math.isnan(quantile_ns(np.array([], np.int64), 0.5))


def test_rows_are_in_the_order_of_their_times(tmp_path: Path) -> None:
    seen = view(fabricate(tmp_path / "a", [MS, 2 * MS, 3 * MS], intended_ns=[2 * S, 0, S]))
    assert list(seen.row) == [1, 2, 0]
    assert list(seen.latency_ns) == [2 * MS, 3 * MS, MS]


def test_a_run_goes_to_an_empty_directory(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "a", [MS])
    with pytest.raises(RunError, match="is not empty; name another directory with --out"):
        create(run.path, run.record, run.planned, run.payloads)


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no run, run\.json is missing"):
        open_run(tmp_path)
    run = fabricate(tmp_path / "a", [MS, MS])
    np.save(run.path / "planned.npy", run.planned[:1])
    with pytest.raises(RunError, match="do not fit together"):
        open_run(run.path)
    (run.path / "run.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read as a run"):
        open_run(run.path)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "a", [MS])
    assert isinstance(run.record, RunRecord)
    assert open_run(run.path).record == run.record
