"""Clients that ask again when they got no good answer: what turns a spike into an overload that feeds itself.

An open loop as `open_loop`, and on top of it each client's next attempt: after a 5xx, an answer later than the budget,
or a broken connection, up to three times, after 50, 100 and 200 ms, each between half and all of that by chance (AWS's
equal jitter).
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tests.bench.open_loop import NS_PER_S, Client, Reply, decode
from tests.bench.overload_return import Fates
from tests.bench.traffic import unseen_requests

if TYPE_CHECKING:
    from collections.abc import Iterator

_RETRIES, _BACKOFF_S = 3, 0.05
_CONNECTIONS = 512


class Attempt(msgspec.Struct):
    """One request on its way, or answered. `number` counts from 0; times are monotonic ns."""

    due_ns: int
    number: int
    request: bytes
    sent_ns: int = 0
    latency_ns: int = 0
    status: int = 0
    rung: str = ""

    def is_good(self, budget_ns: int) -> bool:
        return self.status == 200 and self.latency_ns <= budget_ns


class Impatient:
    """The clients. `attempts` are all that were answered, in the order of their answers."""

    def __init__(self, url: str, budget_ms: float, seed: int) -> None:
        self.attempts: list[Attempt] = []
        self._url, self._budget_ns = url, round(budget_ms * 1e6)
        self._requests: Iterator[bytes] = unseen_requests(seed, budget_ms)
        self._chance = random.Random(seed)
        self._under_way: dict[int, Attempt] = {}
        self._client: Client

    async def run(self, parts: list[tuple[float, float]]) -> list[int]:
        """Send at (rate, seconds), part after part. Returns: when each part began, and when the last ended."""
        async with Client(self._url, _CONNECTIONS, self._answered) as self._client:
            due_ns = time.monotonic_ns()
            marks = [due_ns]
            for rate, seconds in parts:
                end_ns = marks[-1] + int(seconds * NS_PER_S)
                while (due_ns := due_ns + int(self._chance.expovariate(rate) * NS_PER_S)) < end_ns:
                    await asyncio.sleep(0)  # answers are read even by who is late
                    while (left_ns := due_ns - time.monotonic_ns()) > 0:
                        # Timers have a grain of 1 ms; the rest of the way is spun.
                        await asyncio.sleep((left_ns - 1_500_000) / 1e9 if left_ns > 2_500_000 else 0)
                    self._send(Attempt(due_ns, 0, next(self._requests)))
                due_ns = end_ns
                marks.append(end_ns)
        return marks

    def fates(self) -> Fates:
        """Of first attempts."""
        first = sorted((each for each in self.attempts if each.number == 0), key=lambda each: each.due_ns)
        is_met = np.array([each.is_good(self._budget_ns) for each in first])
        return Fates(
            np.array([each.due_ns for each in first]), is_met, is_met & [each.rung == "large" for each in first]
        )

    def lag_p99_ms(self, from_ns: int, to_ns: int) -> float:
        """How late they sent what was due in that time."""
        lags_ns = [each.sent_ns - each.due_ns for each in self.attempts if from_ns <= each.due_ns < to_ns]
        return float(np.quantile(lags_ns, 0.99)) / 1e6

    def _send(self, attempt: Attempt) -> None:
        while attempt.due_ns in self._under_way:  # it is what tells them apart
            attempt.due_ns += 1
        self._under_way[attempt.due_ns] = attempt
        self._client.send(attempt.due_ns, attempt.request)

    def _answered(self, reply: Reply) -> None:
        attempt = self._under_way.pop(reply.due_ns)
        attempt.sent_ns, attempt.latency_ns, attempt.status = reply.sent_ns, reply.latency_ns, reply.status
        if reply.status == 200:
            attempt.rung = decode(reply.body).rung
        self.attempts.append(attempt)
        if not attempt.is_good(self._budget_ns) and attempt.number < _RETRIES:
            wait_s = _BACKOFF_S * 2**attempt.number * self._chance.uniform(0.5, 1.0)
            asyncio.get_running_loop().call_later(wait_s, self._again, attempt)

    def _again(self, attempt: Attempt) -> None:
        self._send(Attempt(time.monotonic_ns(), attempt.number + 1, attempt.request))
