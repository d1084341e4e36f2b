"""A load whose tasks are taken by simulated agents, against a server with queues."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from loadtest.conductor import Options, conduct
from loadtest.errors import ScenarioError, Unreachable
from loadtest.quantity import MS, Ns
from loadtest.run import open_run
from loadtest.scenario.spec import AgentsSpec, BudgetSpec, PhaseSpec, Scenario, TargetSpec, ValiditySpec
from loadtest.view import view
from tests.http_project import train_models, write_project
from tests.http_server import LoopThread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.http_server import Running

pytestmark = pytest.mark.integration
S = 1_000_000_000
QUEUES = """\
skills = ["german"]
[channels.chat]
wrap_s = 30
[queues.cards]
[queues.desk]
[queues.humans]
skills = { german = 2 }
"""
AGENTS = AgentsSpec(count=5, arrive=Ns(S), reaction=Ns(50 * MS), handling=Ns(200 * MS), capacity=3)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    train_models(models)
    return models


@pytest.fixture
def server(tmp_path: Path, project: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    config = write_project(tmp_path / "shop", project)
    if getattr(request, "param", True):
        (config.folder / "queues.toml").write_text(QUEUES, encoding="utf-8")
    thread = LoopThread()
    try:
        with thread.serving(config) as running:
            yield running
    finally:
        thread.stop()


def scenario(port: int, agents: AgentsSpec = AGENTS) -> Scenario:
    return Scenario(
        name="agents",
        target=TargetSpec(url=f"http://127.0.0.1:{port}", connections=16),
        budget=BudgetSpec(deadline="1s"),
        phases=[PhaseSpec(name="steady", rate=30.0, for_=Ns(4 * S))],
        agents=agents,
        validity=ValiditySpec(lag_p99=Ns(2 * S), send_rate=0.0, max_generator_cpu=1.0),
    )


def test_tasks_are_taken_within_capacity_and_completed(server: Running, tmp_path: Path) -> None:
    run = asyncio.run(conduct(scenario(server.port), Options(out=tmp_path / "run")))
    assert view(run).counts()["ok"] > 60
    found = open_run(tmp_path / "run").record.agents
    assert found is not None
    assert found.agents == 5
    assert found.offers >= found.accepted >= found.completed > 10
    assert found.over_capacity == found.reconnected == found.refused == 0
    assert found.offered is not None and found.offered.p50_ms is not None
    assert found.assigned is not None and found.assigned.p99_ms is not None
    assert 0 <= found.offered.p50_ms <= found.assigned.p99_ms < 10_000
    assert found.in_time <= found.accepted
    resources = server.ask("GET", "/v1/resources").json()["resources"]
    assert {each["presence"] for each in resources} == {"offline"}
    assert all(each["skills"] == {"german": 5} for each in resources)


@pytest.mark.parametrize("server", [False], indirect=True)
def test_a_server_without_queues_lets_nobody_in(server: Running, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"GET /v1/queues: 404 .*agents need a server with a queues.toml"):
        asyncio.run(conduct(scenario(server.port), Options(out=tmp_path / "run")))
    assert not (tmp_path / "run").exists()


class Nobody:
    """A target in this process."""


def test_agents_need_a_server(tmp_path: Path) -> None:
    options = Options(out=tmp_path / "run", engine="inproc", target=Nobody())  # type: ignore[arg-type]  # not asked
    with pytest.raises(ScenarioError, match="agents: they sign in to a server; --engine inproc has none"):
        asyncio.run(conduct(scenario(1), options))
