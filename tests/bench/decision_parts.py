"""What each part of a whole HTTP decision is worth: its CPU with the part left out, beside an empty echo.

    python -m tests.bench.decision_parts [--rounds 10] [--requests 1600]

One process, no sockets (as in `decision_profile`); rounds of the echo and of the decision in turn, medians. All threads
count, so the log's writer is in it. A part that is left out gives a fixed answer at once.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import uvloop
from aiohttp import web

from fallbacks.rules import RuleBook
from router.assembly import App, build_app
from router.config import load_config
from router.domain.decision import Decision, Reason
from router.server import make_http
from tests.bench import report
from tests.bench.decision_profile import _serve
from tests.bench.server_process import NO_QUEUES, models_dir
from tests.bench.servers import echo
from tests.bench.traffic import EXAMPLE, unseen_requests


def _without_model(app: App) -> None:
    rung = app.point.plan.rungs[0]
    fixed = rung.predict("my card has not arrived", ())
    rung.predict = lambda *_: fixed


def _without_rules(app: App) -> None:
    app.point.guards, app.point.rules = RuleBook([]), RuleBook([])


def _without_pipeline(app: App) -> None:
    async def decide(*_: object) -> Decision:
        return Decision(app.point.default, "default", Reason.DEFAULT, 0.0)

    app.pipeline.decide = decide  # type: ignore[assignment, method-assign]


PARTS: dict[str, Callable[[App], None]] = {
    "nothing": lambda _: None,
    "the log on disk": lambda _: None,  # kept in memory instead
    "guards and rules": _without_rules,
    "the model call": _without_model,
    "the whole pipeline": _without_pipeline,
}


async def _measure(part: str, folder: str, rounds: int, count: int, seed: int) -> tuple[float, float]:
    """Median CPU us of an echo and of a decision without `part`."""
    overrides = {"TAKT__MODELS__DIR": str(models_dir(("small",))), "TAKT__LOG__PATH": f"{folder}/{part}.sqlite"}
    overrides |= NO_QUEUES
    app = build_app(load_config(EXAMPLE / "takt.toml", overrides), log_to_memory=part == "the log on disk")
    await app.start()
    http, requests = make_http(app), unseen_requests(seed, budget_ms=1_000)
    PARTS[part](app)
    application = web.Application()
    application.router.add_post("/v1/interactions", echo)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    assert runner.server is not None
    await _serve(http, islice(requests, 4 * count), 4 * count)
    echoes, decisions = [], []
    for _ in range(rounds):
        echoes.append(await _serve(runner.server, islice(requests, count), count))
        began_ns = time.process_time_ns()
        await _serve(http, islice(requests, count), count)
        decisions.append((time.process_time_ns() - began_ns) / count / 1e3)
    await app.close()
    await runner.cleanup()
    return statistics.median(echoes), statistics.median(decisions)


def main() -> None:
    """One row for each part."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=10)
    arguments.add_argument("--requests", type=int, default=1_600)
    given = arguments.parse_args()
    os.sched_setaffinity(0, {0})
    with tempfile.TemporaryDirectory() as folder:
        found = {
            part: uvloop.run(_measure(part, str(Path(folder)), given.rounds, given.requests, given.seed))
            for part in PARTS
        }
    whole_us = found["nothing"][1]
    rows = [(part, echo_us, us, whole_us - us) for part, (echo_us, us) in found.items()]
    report.table(("left out", "echo µs", "decision µs", "so it costs µs"), list(rows))


if __name__ == "__main__":
    main()
