"""The target of a scenario, asked one request at a time over HTTP: at zero load, where nothing is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.answer import read_answer
from loadtest.engine.inproc import TargetRefused
from loadtest.errors import Unreachable
from loadtest.fault.exchange import exchange
from loadtest.quantity import MS, S
from loadtest.wire import BadHttp

if TYPE_CHECKING:
    from loadtest.answer import Answer
    from loadtest.scenario.spec import Scenario

_BEYOND_BUDGET_S = 5.0
_OK = 200


class Client:
    """Its `ask` is what replay.py wants."""

    def __init__(self, scenario: Scenario) -> None:
        target = scenario.target
        self._url = target.url.rstrip("/") + target.path
        self._headers = {**target.headers, "Content-Type": "application/json"}
        self._budget_header = scenario.budget.header

    async def ask(self, body: bytes, budget_ns: int) -> Answer:
        """Raises: TargetRefused: another status than 200. Unreachable: no HTTP, or not an answer of Takt's."""
        headers = {**self._headers, self._budget_header: f"{budget_ns / MS:g}"}
        try:
            response = await exchange("POST", self._url, body, headers, budget_ns / S + _BEYOND_BUDGET_S)
        except (OSError, BadHttp) as error:
            raise Unreachable(f"{self._url}: {str(error) or type(error).__name__}") from error
        if response.status != _OK:
            raise TargetRefused(response.status)
        answer = read_answer(response.body)
        if answer is None:
            raise Unreachable(f"{self._url}: a 200 that is no answer of Takt's")
        return answer
