from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from loadtest.gate.expression import Recovery
from loadtest.gate.recovery import recovery_ns
from loadtest.run import FaultRecord, PhaseRecord
from loadtest.sample import NEVER
from loadtest.view import view
from tests.fabricated import MS, S, fabricate

RECOVERY = Recovery(0.95, caches=False)
SECONDS = 10


def recovered(
    tmp_path: Path,
    rung: list[str],
    *,
    degraded: list[str] | None = None,
    latency_ms: list[int] | None = None,
    metric: Recovery = RECOVERY,
    faults: tuple[FaultRecord, ...] = (),
    on: str = "back",
) -> float | None:
    """Ten requests a second for ten seconds: two seconds of `before`, eight of `back`; a value for each second."""
    each = np.repeat
    run = fabricate(
        tmp_path / "run",
        each([5 * MS if ms != NEVER else NEVER for ms in latency_ms or [5] * SECONDS], 10),
        rate=10,
        rung=each(rung, 10),
        degraded=each(degraded or ["none"] * SECONDS, 10),
        phase=each([0] * 2 + [1] * 8, 10),
        phases=(
            PhaseRecord(name="before", start_ns=0, end_ns=2 * S, measure=True),
            PhaseRecord(name="back", start_ns=2 * S, end_ns=10 * S, measure=True),
        ),
        faults=faults,
    )
    return recovery_ns(view(run).on(on), metric, on)


def fault(begin_s: int, end_s: int) -> FaultRecord:
    return FaultRecord(kind="server", what="large", begin_ns=begin_s * S, end_ns=end_s * S)


def test_nothing_to_recover_from_takes_no_time(tmp_path: Path) -> None:
    assert recovered(tmp_path, ["small"] * 2 + ["large"] * 8) == 0


def test_it_counts_from_the_start_of_the_phase(tmp_path: Path) -> None:
    assert recovered(tmp_path, ["large"] * 2 + ["small"] * 3 + ["large"] * 5) == 3 * S


def test_it_has_to_stay(tmp_path: Path) -> None:
    assert recovered(tmp_path, ["small"] * 3 + ["large"] * 3 + ["small"] + ["large"] * 3) == 5 * S


def test_who_ends_degraded_never_recovers(tmp_path: Path) -> None:
    assert recovered(tmp_path, ["large"] * 9 + ["small"]) == math.inf


def test_it_counts_from_the_end_of_the_last_fault(tmp_path: Path) -> None:
    rungs = ["small"] * 6 + ["large"] * 4
    assert recovered(tmp_path, rungs, faults=(fault(1, 4), fault(3, 5), fault(8, 20))) == 1 * S


def test_on_all_it_counts_from_the_first_phase(tmp_path: Path) -> None:
    assert recovered(tmp_path, ["small"] * 3 + ["large"] * 7, on="all") == 3 * S


@pytest.mark.parametrize(("caches", "expected"), [(False, math.inf), (True, 0)])
def test_a_fresh_hit_of_the_cache_counts_if_asked_for(tmp_path: Path, caches: bool, expected: float) -> None:
    assert recovered(tmp_path, ["cache"] * 10, metric=Recovery(0.95, caches=caches)) == expected


def test_a_degraded_answer_does_not_count_whatever_its_rung(tmp_path: Path) -> None:
    degraded = ["none"] * 4 + ["overload"] + ["none"] * 5
    assert recovered(tmp_path, ["large"] * 10, degraded=degraded) == 3 * S


def test_no_answer_is_not_back(tmp_path: Path) -> None:
    assert recovered(tmp_path, ["large"] * 10, latency_ms=[5] * 4 + [NEVER] + [5] * 5) == 3 * S


def test_guards_bear_no_witness(tmp_path: Path) -> None:
    assert recovered(tmp_path, ["small"] * 3 + ["guard"] * 2 + ["large"] * 3 + ["guard"] * 2) == 1 * S
    again = tmp_path / "again"
    again.mkdir()
    assert recovered(again, ["guard"] * 10) is None


def test_the_share_is_the_limit(tmp_path: Path) -> None:
    assert recovered(tmp_path, ["small"] * 10, metric=Recovery(0.001, caches=False)) == math.inf


def test_what_is_left_of_the_last_second_belongs_to_the_one_before(tmp_path: Path) -> None:
    # 1.5 s: ten requests by large, then five; the last of them is small: 14 of 15 are not 95 %.
    run = fabricate(
        tmp_path,
        [5 * MS] * 15,
        rate=10,
        rung=["large"] * 14 + ["small"],
        phases=(PhaseRecord(name="steady", start_ns=0, end_ns=3 * S // 2, measure=True),),
    )
    assert recovery_ns(view(run), RECOVERY, "steady") == math.inf
    assert recovery_ns(view(run), Recovery(0.9, caches=False), "steady") == 0
