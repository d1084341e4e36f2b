"""The parts put together: what is watched, what a plan is, and how it all ends."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest

from router.assembly import App, build_app, plan_version
from router.assign.command import CreateTask
from router.config import Config
from router.policy.errors import PolicyError
from router.policy.project import read_project
from router.telemetry.family import ReadingFamily
from router.webhooks.settings import WebhookSettings
from tests.http_project import RULES, write_project
from tests.jobs import job_of, linear, work_of
from tests.spine import Spine, play, served

# Of the model rungs, which `App.install` has; of the span export, webhooks and queues, where they are configured.
FED_LATER = {
    "takt_breaker_state", "takt_rung_cost_seconds", "takt_predictor_coverage", "takt_batches_total",
    "takt_batch_texts_total", "takt_info", "takt_traces_dropped_total",
    "takt_webhook_pending", "takt_webhook_dead", "takt_webhook_gaps_total",
    "takt_queue_waiting", "takt_queue_longest_wait_seconds", "takt_queue_agents", "takt_tasks_total",
    "takt_offers_total",
    "takt_commands_written_total", "takt_commands_ended", "takt_matchings_missed_total",
    "takt_invariant_violations_total",
}  # fmt: skip


def test_every_reading_has_a_source(tmp_path: Path) -> None:
    async def main() -> None:
        app = build_app(write_project(tmp_path, None), log_to_memory=True)
        readings = [family for family in app.metrics.families() if isinstance(family, ReadingFamily)]
        without = {
            family.name
            for family in readings
            if not family.children or any(child.read is None for child in family.children.values())
        }
        assert without == FED_LATER
        for family in readings:
            for child in family.children.values():
                assert child.read is not None
                assert float(child.read()) >= 0
        await app.close()

    asyncio.run(main())


QUEUES = "[queues.cards]\n[queues.desk]\n[queues.humans]\n"


def test_tasks_are_taken_up_and_a_queue_that_has_some_cannot_be_left_out(tmp_path: Path) -> None:
    config = write_project(tmp_path, None)
    queues = tmp_path / "queues.toml"

    async def begin() -> App:
        app = build_app(config)
        await app.log.start()
        assert app.desk is not None
        assert app.handover is not None
        assert app.policies is not None
        await app._take_up(app.desk, app.handover, app.policies)
        return app

    async def main() -> None:
        queues.write_text(QUEUES, encoding="utf-8")
        app = await begin()
        assert app.desk is not None
        await app.desk.submit(CreateTask(id="t-1", queue="cards"))
        await app.close()
        app = await begin()
        assert app.desk is not None
        assert app.desk.state.tasks["t-1"].queue == "cards"
        await app.close()
        queues.write_text(QUEUES.replace("cards", "card"), encoding="utf-8")
        routes = config.routes_path
        routes.write_text(routes.read_text(encoding="utf-8").replace('"cards"', '"card"'), encoding="utf-8")
        app = build_app(config)
        with pytest.raises(PolicyError, match=r"queues\.toml: queues\.cards: tasks or resources are in it"):
            await app.start()
        await app.close()

    asyncio.run(main())


def test_a_route_to_a_queue_that_is_not_there_refuses_to_start(tmp_path: Path) -> None:
    config = write_project(tmp_path, None)
    (tmp_path / "queues.toml").write_text(QUEUES.replace("cards", "card"), encoding="utf-8")

    async def main() -> None:
        with pytest.raises(PolicyError, match=r"routes\.toml: routes\.card_lost: target\.name = 'cards' is no queue"):
            build_app(config)

    asyncio.run(main())


@pytest.mark.parametrize(("queues", "has_desk", "lines"), [("", True, 1), ("", False, 0), (QUEUES, True, 0)])
def test_webhooks_that_nothing_can_be_told_are_named_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, queues: str, has_desk: bool, lines: int
) -> None:
    config = write_project(tmp_path, None)
    if queues:
        (tmp_path / "queues.toml").write_text(queues, encoding="utf-8")
    hook = WebhookSettings(url="https://crm.example/", secrets=("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",))
    settings = msgspec.structs.replace(config.settings, webhooks={"crm": hook})

    async def main() -> None:
        told = msgspec.structs.replace(config, settings=settings)
        await build_app(told, log_to_memory=True, has_desk=has_desk).close()

    asyncio.run(main())
    said = [vars(record)["why"] for record in caplog.records if record.message == "webhooks_idle"]
    assert len(said) == lines
    assert all("webhooks.crm: nothing is sent" in each and "files.queues" in each for each in said)


def test_a_condition_that_fails_is_counted_under_its_rules_name(tmp_path: Path) -> None:
    async def main() -> None:
        config = write_project(tmp_path, None)
        config.rules_path.write_text(RULES.replace("has(context.vip) && ", ""), encoding="utf-8")
        app = build_app(config, log_to_memory=True)
        assert app.point.guards.first([], {"context": {}}.__getitem__) is None
        reading = app.metrics.condition_errors.children["guards.vip",]
        assert reading.read is not None
        assert reading.read() == 1
        await app.close()

    asyncio.run(main())


def test_a_call_that_hangs_holds_up_neither_the_loop_nor_the_log(tmp_path: Path) -> None:
    async def main() -> None:
        app = build_app(write_project(tmp_path, None), log_to_memory=True)
        release = threading.Event()
        assert app.executor.submit(job_of(work_of(linear(), lambda _: [release.wait(20)])))
        closing = asyncio.create_task(app.close())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not closing.done()
        release.set()
        await closing

    asyncio.run(main())


def version(config: Config, models_version: str = "m") -> str:
    return plan_version(read_project(config.routes_path, config.rules_path), models_version)


def test_a_plan_is_models_routes_guards_and_rules_as_they_were_read(tmp_path: Path) -> None:
    config = write_project(tmp_path, None)
    read = read_project(config.routes_path, config.rules_path)
    first = plan_version(read, "m")
    assert version(config) == first != version(config, "n")
    config.rules_path.write_text(RULES.replace("0.6", "0.7"), encoding="utf-8")
    assert version(config) != first == plan_version(read, "m")
    config.rules_path.write_text("", encoding="utf-8")
    assert version(config) != first


def test_another_plan_misses_the_cache(tmp_path: Path) -> None:
    config = write_project(tmp_path, None)

    async def scenario(spine: Spine) -> None:
        spine.point.plan = spine.point.plan._replace(version=version(config))
        assert [served(await spine.ask("a text"))[1] for _ in range(2)] == ["large", "cache"]
        config.rules_path.write_text(RULES.replace("0.6", "0.7"), encoding="utf-8")
        spine.point.plan = spine.point.plan._replace(version=version(config))
        assert [served(await spine.ask("a text"))[1] for _ in range(2)] == ["large", "cache"]

    play(scenario)
