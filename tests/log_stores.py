"""A store whose every write a test decides."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from router.log import DecisionRecord, LogFenced
from router.log.journal import Step

WITHIN_S = 20


class ScriptedStore:
    """Keeps groups in lists; waits at the gate, and fails while `error` is set."""

    def __init__(self) -> None:
        self.groups: list[list[DecisionRecord]] = []
        self.steps: list[list[Step]] = []
        self.error: Exception | None = None
        self.tidy_error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.attempts = threading.Semaphore(0)
        self.tidied = threading.Semaphore(0)
        self.is_open = False
        self.is_fenced = False

    def open(self) -> None:
        self.is_open = True

    def write(self, records: list[DecisionRecord], steps: Sequence[Step]) -> int:
        self.attempts.release()
        assert self.gate.wait(WITHIN_S)
        if self.error is not None:
            raise self.error
        if steps and self.is_fenced:
            message = "another process has taken the commands over"
            raise LogFenced(message)
        self.groups.append(records)
        self.steps.append(list(steps))
        return sum(r.text == "not encodable" for r in records)

    def tidy(self) -> bool:
        self.tidied.release()
        if self.tidy_error is not None:
            raise self.tidy_error
        return False

    def find(self, decision_id: str) -> DecisionRecord | None:
        return next((r for group in self.groups for r in group if r.decision_id == decision_id), None)

    def close(self) -> None:
        self.is_open = False


async def attempted(store: ScriptedStore, times: int = 1) -> None:
    for _ in range(times):
        assert await asyncio.to_thread(store.attempts.acquire, timeout=4)  # less than the writer's idle wait
