"""All simulated agents of a run: registered, signed in one after the other, and sent home."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from random import Random
from typing import TYPE_CHECKING, Any, Self

from loadtest.agents.agent import SimulatedAgent
from loadtest.agents.book import AgentsRecord, Book
from loadtest.agents.stream import Door
from loadtest.errors import Unreachable
from loadtest.quantity import S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from loadtest.scenario.spec import AgentsSpec

NAME = "loadtest-{:04d}"


class Crowd:
    """An async context: registers everybody and lets them come; they go with `leave`, or at its end.

    Args: headers: with the admin's token, where the server has one.
    """

    def __init__(self, spec: AgentsSpec, url: str, headers: Mapping[str, str], seed: int) -> None:
        self._spec, self._seed = spec, seed
        self._door = Door(url, headers)
        self._book = Book(spec.count)
        self._shifts: list[asyncio.Task[None]] = []
        self._around = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises: Unreachable: the server has no queues, or lets nobody in."""
        await self._around.enter_async_context(self._door)
        try:
            await self._register()
        except BaseException:
            await self._around.aclose()
            raise
        self._shifts = [asyncio.create_task(self._shift(number)) for number in range(self._spec.count)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._send_home()
        await self._around.aclose()

    async def leave(self) -> AgentsRecord:
        """Everybody signs out; what they have not finished stays with the server."""
        await self._send_home()
        with suppress(Unreachable):
            for number in range(self._spec.count):
                await self._door.ask("POST", f"/v1/resources/{NAME.format(number)}/presence", {"presence": "offline"})
        return self._book.close(await self._waiting())

    async def _send_home(self) -> None:
        for shift in self._shifts:
            shift.cancel()
        await asyncio.gather(*self._shifts, return_exceptions=True)

    async def _shift(self, number: int) -> None:
        """One agent, from its sign-in on."""
        rng = Random(f"{self._seed}/{number}")
        agent = SimulatedAgent(NAME.format(number), self._spec, self._door, self._book, rng)
        await asyncio.sleep(self._spec.arrive / S * number / max(1, self._spec.count - 1))
        await agent.run()

    async def _register(self) -> None:
        spec, ask = self._spec, self._door.ask
        queues = spec.queues or tuple(each["name"] for each in (await ask("GET", "/v1/queues"))["queues"])
        skills = spec.skills or {each["name"]: 5 for each in (await ask("GET", "/v1/skills"))["skills"]}
        body: dict[str, Any] = {
            "queues": queues,
            "skills": skills,
            "capacity": spec.capacity,
            "channels": {channel: {} for channel in spec.channels},
        }
        for number in range(spec.count):
            await ask("PUT", f"/v1/resources/{NAME.format(number)}", body)

    async def _waiting(self) -> int:
        """Still in the queues; a server that is gone by now has told all it will."""
        with suppress(Unreachable):
            return sum(each["waiting"] for each in (await self._door.ask("GET", "/v1/queues"))["queues"])
        return 0
