"""The router without its server, for `takt loadtest run --engine inproc`: what HTTP costs is the difference.

Does what `http/interactions.py` does between a request's last byte and the first of its answer, in the same order and
with the same books. There is no admission by a kernel and no socket, so the stage `loop` stays empty but for models.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from budgets.deadline import NS_PER_MS, grant_ns, open_budget
from budgets.ledger import Ledger, Stage
from loadtest.answer import Answer, AnswerBudget
from loadtest.engine.inproc import TargetRefused
from loadtest.errors import ScenarioError, Unreachable
from models.errors import ModelError
from router.assembly import build_app
from router.config import load_config
from router.domain.interaction import Interaction
from router.errors import RequestRefused
from router.faults import FaultPlan
from router.http import codec
from router.http.answer import build_answer
from router.log import LogRefused
from router.policy.errors import PolicyError
from router.policy.point import Request
from router.telemetry.errors import TelemetryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from router.assembly import App
    from router.config import Config

_INTERACTION = codec.Decoder(Interaction)


class InProcess:
    """`loadtest.engine.inproc.Target` of this product. Decisions are logged to memory.

    Args:
        allow_faults: whether `set_faults` may break anything; what can be broken costs a little even while it works.
    """

    def __init__(self, config: Config, *, allow_faults: bool = False) -> None:
        self._config, self._allow_faults = config, allow_faults
        self._app: App | None = None

    async def open(self) -> None:
        """Load the models. Raises: Unreachable."""
        try:
            self._app = build_app(self._config, allow_faults=self._allow_faults, log_to_memory=True)
            await self._app.start()
        except (PolicyError, TelemetryError, ModelError, LogRefused) as error:
            raise Unreachable(str(error)) from error

    async def ask(self, body: bytes, budget_ns: int) -> Answer:
        """Decide within the budget, as the server would grant it. Raises: TargetRefused, with the server's status."""
        app = self._running
        clock, settings = app.clock, app.point.budget
        ledger = Ledger(clock.now_ns())
        try:
            interaction: Interaction = _INTERACTION.decode(codec.JSON, body)
            total_ns = grant_ns([budget_ns / NS_PER_MS], settings)
            budget = open_budget(total_ns, settings, ledger)
            ledger.mark(Stage.PARSE, clock.now_ns())
            decision = await app.pipeline.decide(app.point, Request(interaction, total_ns / NS_PER_MS), budget)
        except RequestRefused as refused:
            raise TargetRefused(refused.status, refused.detail, refused.code) from None
        answer = build_answer(app, interaction, decision, budget)
        codec.encode(codec.JSON, answer)  # for its time: a server would
        ledger.mark(Stage.ENCODE, clock.now_ns())
        app.pipeline.finish(app.point, decision, budget)
        return Answer(
            rung=answer.rung,
            degraded=answer.degraded,
            route=answer.route,
            reason=answer.reason,
            decision_id=answer.decision_id,
            budget=AnswerBudget(ledger.elapsed_ns / NS_PER_MS, ledger.stages_ms(), not budget.is_met()),
        )

    async def set_faults(self, faults: Mapping[str, Any]) -> None:
        """As PUT /v1/admin/faults. Raises: ScenarioError: no such fault, or they are not allowed."""
        if self._running.faults is None:
            raise ScenarioError("faults: the router was not built to be broken")
        try:
            self._running.faults.set(msgspec.convert(dict(faults), FaultPlan))
        except msgspec.ValidationError as error:
            raise ScenarioError(f"faults: {error}") from None

    async def close(self) -> None:
        """Finish and free everything; what could not be opened, too."""
        if self._app is not None:
            app, self._app = self._app, None
            await app.close()

    @property
    def _running(self) -> App:
        if self._app is None:
            raise RuntimeError("asked before open, or after close")
        return self._app


def make_target(config_path: Path, *, allow_faults: bool = False) -> InProcess:
    """The router of a takt.toml. Raises: PolicyError naming file or variable, and key."""
    return InProcess(load_config(config_path, os.environ), allow_faults=allow_faults)
