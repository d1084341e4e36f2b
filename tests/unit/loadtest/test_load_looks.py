"""`--extend-until-conclusive`: how often a run is looked at, and that it stays on record."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from loadtest.command.run import LOOKS, _extended
from loadtest.conductor import Options
from loadtest.quantity import Ns
from loadtest.run import Run, WorkerHealth, open_run
from loadtest.scenario.spec import GateSpec, Scenario
from tests.fabricated import MS, S, fabricate, scenario

REQUESTS = 100  # of 300 without a miss a p99 is still open


@pytest.mark.parametrize(("limit_s", "looks"), [(1, 1), (2, 2), (3, 3), (60, LOOKS)])
def test_looks_as_often_as_the_time_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_s: int, looks: int
) -> None:
    made: list[Path] = []

    async def conduct(of: Scenario, options: Options) -> Run:
        made.append(options.out)
        books = (
            WorkerHealth(
                index=0, ended="done", wall_ns=S, paced_total=REQUESTS, sent_total=REQUESTS, answered_total=REQUESTS
            ),
        )
        at_ns = len(made) * 3_600 * S
        return fabricate(options.out, [MS] * REQUESTS, id=str(len(made)), of=of, origin_wall_ns=at_ns, workers=books)

    monkeypatch.setattr("loadtest.command.run.conduct", conduct)
    of = scenario(1, gates=[GateSpec(expr="p99 <= 50ms")])
    with asyncio.Runner() as runner:
        whole = _extended(runner, of, Options(out=tmp_path / "run"), Ns(limit_s * S))
    assert len(made) == looks
    assert len(whole.planned) == looks * REQUESTS
    assert {open_run(path).record.looks for path in (*made, whole.path)} == {LOOKS}
