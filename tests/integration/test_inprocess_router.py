"""router.inprocess: the router without its server decides as with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest

from budgets.clock import SystemClock
from loadtest.engine.inproc import InprocEngine, TargetRefused
from loadtest.errors import ScenarioError, Unreachable
from loadtest.pacer import Pacer
from loadtest.quantity import MS, S
from loadtest.record import Recorder
from loadtest.request import Requests
from loadtest.run import open_run
from loadtest.sample import DEGRADED, NEVER, REASONS, RUNGS, STAGES
from loadtest.worker import drive
from router.inprocess import InProcess, make_target
from tests.fabricated import fabricate
from tests.http_project import SURE_ROUTE, SURE_TEXT, train_models, write_project

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from loadtest.answer import Answer

pytestmark = pytest.mark.integration
BODY = b'{"id":"run-000000001","channel":"chat","text":"%b"}' % SURE_TEXT.encode()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inprocess")
    train_models(folder / "trained")
    write_project(folder / "project", folder / "trained")
    return folder / "project" / "takt.toml"


def with_target(target: InProcess, ask: Callable[[InProcess], Awaitable[None]]) -> None:
    async def main() -> None:
        await target.open()
        try:
            await ask(target)
        finally:
            await target.close()

    asyncio.run(main())


def test_it_decides_and_says_how(project: Path) -> None:
    async def ask(target: InProcess) -> None:
        answer: Answer = await target.ask(BODY, S)
        assert (answer.route, answer.rung, answer.degraded) == (SURE_ROUTE, "small", "none")
        assert len(answer.decision_id) == 32
        assert answer.reason in REASONS
        again = await target.ask(BODY, S)
        assert (again.rung, again.route) == ("cache", SURE_ROUTE)

    with_target(make_target(project), ask)
    assert not list(project.parent.glob("var/*"))  # it logs to memory


def test_its_books_balance_and_speak_the_words_of_samples(project: Path) -> None:
    async def ask(target: InProcess) -> None:
        budget = (await target.ask(BODY, S)).budget
        assert sum(budget.stages_ms.values()) == pytest.approx(budget.elapsed_ms, abs=0.02)
        assert 0 < budget.elapsed_ms < 1_000
        assert set(budget.stages_ms) <= set(STAGES)

    with_target(make_target(project), ask)
    assert "small" in RUNGS
    assert "cold" in DEGRADED


@pytest.mark.parametrize(
    ("body", "budget_ns", "status"), [(BODY, 0, 504), (b'{"channel":"chat"}', S, 400), (b"hello", S, 400)]
)
def test_it_refuses_with_the_status_of_the_server(project: Path, body: bytes, budget_ns: int, status: int) -> None:
    async def ask(target: InProcess) -> None:
        with pytest.raises(TargetRefused) as refused:
            await target.ask(body, budget_ns)
        assert refused.value.status == status

    with_target(make_target(project), ask)


def test_it_breaks_on_demand_only_where_that_is_allowed(project: Path) -> None:
    async def ask(target: InProcess) -> None:
        await target.set_faults({"small": {"error_share": 1.0}})
        assert (await target.ask(BODY, S)).degraded == "error"
        await target.set_faults({})
        assert (await target.ask(BODY, S)).rung == "small"
        with pytest.raises(ScenarioError, match="lorge"):
            await target.set_faults({"lorge": {}})

    with_target(make_target(project, allow_faults=True), ask)

    async def refuse(target: InProcess) -> None:
        with pytest.raises(ScenarioError, match="faults"):
            await target.set_faults({})

    with_target(make_target(project), refuse)


def test_a_budget_is_cut_as_the_server_cuts_it(project: Path) -> None:
    async def ask(target: InProcess) -> None:
        answer = await target.ask(BODY, 3_600 * S)
        record = await target._running.log.get(answer.decision_id)
        assert record is not None
        assert record.total_ms == 5_000  # budget.max_ms of the project
        with pytest.raises(TargetRefused):
            await target.ask(BODY, MS // 1_000)

    with_target(make_target(project), ask)


def test_what_it_decided_is_counted(project: Path) -> None:
    """And so the pipeline learns what it costs itself, as it does behind a server."""

    async def ask(target: InProcess) -> None:
        for _ in range(3):
            await target.ask(BODY, S)
        counted = target._running.metrics.requests.child("interactions", "cache", "none", "cache")
        assert counted.value == 2

    with_target(make_target(project), ask)


def test_what_is_measured_is_what_the_router_wrote_down(project: Path, tmp_path: Path) -> None:
    """G15: every answer's rung, reason, degradation and route are those of the decision in the log."""
    count = 300
    fabricate(tmp_path, np.full(count, NEVER), intended_ns=np.arange(count) * 2 * MS, budget_ns=S)
    made = open_run(tmp_path, writable=True)

    async def main() -> None:
        target, clock, requests = make_target(project, allow_faults=True), SystemClock(), Requests(made)
        recorder = Recorder(made.samples, clock.now_ns)
        engine = InprocEngine(target, requests, recorder, timeout_ns=10 * S)
        pacer = Pacer(range(count), requests.intended_ns, engine.send, recorder)
        await engine.open()
        await target.ask(requests.body(0), S)  # every other request has this text, which is cached from here on
        await target.set_faults({"small": {"error_share": 1}})
        recorder.origin_ns = clock.now_ns()
        await drive(pacer, engine, recorder, asyncio.Event(), 10 * S)
        for sample in made.samples:
            logged = await target._running.log.get(f"{sample['decision_high']:016x}{sample['decision_low']:016x}")
            assert logged is not None
            told = RUNGS[sample["rung"]], DEGRADED[sample["degraded"]], REASONS[sample["reason"]]
            assert told == (logged.rung, logged.degraded, logged.reason)
            assert recorder.routes[sample["route"]] == logged.route
        await engine.close()

    asyncio.run(main())
    assert [RUNGS[number] for number in made.samples["rung"]] == ["cache", "default"] * (count // 2)


def test_a_project_without_models_is_not_reachable(tmp_path: Path) -> None:
    write_project(tmp_path / "project", None)
    with pytest.raises(Unreachable):
        with_target(make_target(tmp_path / "project" / "takt.toml"), lambda _: asyncio.sleep(0))
