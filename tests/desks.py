"""A desk with its engine, over a journal in memory, on whatever loop runs."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from router.desk.desk import Desk
from router.log import MemoryJournal
from router.queues import compile_condition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from router.assign.policy import Policy
    from tests.virtual import VirtualLoop


@asynccontextmanager
async def opened(loop: VirtualLoop, policy: Policy, journal: MemoryJournal | None = None) -> AsyncIterator[Desk]:
    desk = Desk(journal or MemoryJournal(), loop.clock, policy, compile_condition)
    await desk.start()
    yield desk
    await desk.close()
