"""Answers matchings: reads the state, scores, solves, proposes. What takes longer runs in a thread.

Matching ──► meet: arrays (event loop) ──► score, solve (thread, or at once when small) ──► Propose
                                              │ late, failed, or the model is out of service
                                              └──► nothing is proposed: the engine matches without it
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from random import Random
from typing import TYPE_CHECKING, TypeVar

from fallbacks.breaker import Breaker, BreakerSettings, Ending
from models.errors import ModelError
from router.assign.command import Pair, Propose
from router.desk import solve
from router.desk.outcome import OutcomeModel
from router.desk.pairing import Meeting, meet, prefer, rank_all, read_sides, score_all

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from router.assign.gather import Matching
    from router.assign.policy import Policy
    from router.assign.state import State
    from router.desk.pairing import Sides
    from router.desk.solve import Matched, Problem

T = TypeVar("T")
_LOGGER = logging.getLogger("takt.assign")
_INLINE_PAIRS = 2_500
"""50 x 50: 0.1 ms of a solver, which is what the way to a thread and back costs. Larger ones run there."""
_MOST = 64
"""Matchings in work at once: more are not begun, for they would only wait for the one thread."""
_AT_ONCE = 25
"""Pairs that are proposed in one step, some 1 ms."""
_BREAKER = BreakerSettings(min_calls=5)


class Matcher:
    """One for each desk. Safety: one event loop."""

    def __init__(
        self,
        now_ns: Callable[[], int],
        propose: Callable[[Propose], None],
        folder: Path,
        executor: Executor | None = None,
    ) -> None:
        """Args: now_ns: the desk's time, as in `Matching.due_ns`. folder: where relative names of models begin."""
        self.late_total = 0
        self.failed_total = 0
        self._now_ns = now_ns
        self._propose = propose
        self._folder = folder
        self._rng = Random()  # jitter of probes
        self._executor = executor or ThreadPoolExecutor(1, "takt-matching")
        self._tasks: set[asyncio.Task[None]] = set()
        self._models: dict[str, OutcomeModel] = {}
        self._breakers: dict[str, Breaker] = {}
        self._is_loaded = False

    def prepare(self, policy: Policy) -> None:
        """Load what a policy's matchings need, in the thread: a matching that comes before that is not answered."""
        files = {score.file for score in policy.scores.values() if score.kind == "onnx"}
        self._models = {file: model for file, model in self._models.items() if file in files}
        self._breakers = {file: self._breakers.get(file) or Breaker(_BREAKER, self._rng) for file in files}
        if files or any(queue.window_ms > 0 for queue in policy.queues.values()):
            self._run(self._load(files - self._models.keys()))

    def begin(self, state: State, matching: Matching) -> None:
        """Answer a matching as soon as possible, but not within this call."""
        if len(self._tasks) < _MOST:
            self._run(self._answer(state, matching))

    async def close(self) -> None:
        """Give up what is in work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _load(self, files: set[str]) -> None:
        await self._in_thread(solve.load)
        self._is_loaded = True
        for file in sorted(files):
            try:
                self._models[file] = await self._in_thread(partial(OutcomeModel, self._folder / file))
            except ModelError as error:
                _LOGGER.error("outcome_model_unusable", extra={"file": file, "why": str(error)})  # noqa: TRY400

    async def _answer(self, state: State, matching: Matching) -> None:
        """Propose, whatever comes of it: without pairs the engine need not wait any longer."""
        pairs: tuple[Pair, ...] = ()
        try:
            async with asyncio.timeout(max(0, matching.due_ns - self._now_ns()) / 1e9):
                pairs = await self._pairs(state, matching)
        except TimeoutError:
            self.late_total += 1
        except Exception:
            self.failed_total += 1
            _LOGGER.exception("matching_failed", extra={"queue": matching.queue})
        # As the tasks of a matching, and so its pairs, are sorted: the most urgent first.
        for first in range(0, max(1, len(pairs)), _AT_ONCE):
            if first:
                await _let_others_run()
            part, has_more = pairs[first : first + _AT_ONCE], first + _AT_ONCE < len(pairs)
            self._propose(Propose(number=matching.number, pairs=part, has_more=has_more))

    async def _pairs(self, state: State, matching: Matching) -> tuple[Pair, ...]:
        meeting, queue = meet(state, matching), state.queue_policy(matching.queue)
        tasks, resources, _ = meeting
        score = state.policy.scores[queue.score or ""] if queue.rank == "score" else None
        await _let_others_run()
        if score is not None and score.kind == "onnx":
            scored, pairs = await self._by_model(score.file, meeting)
        else:
            scores = rank_all(queue, tasks, resources) if score is None else score_all(score, tasks, resources)
            scored, pairs = await self._solve(_with(meeting, scores))
        return tuple(Pair(tasks[i].id, resources[j].id, float(scored.scores[i, j])) for i, j in pairs)

    async def _solve(self, meeting: Meeting) -> tuple[Problem, Matched]:
        work = partial(_solve, meeting)
        is_small = self._is_loaded and meeting.problem.scores.size <= _INLINE_PAIRS
        return work() if is_small else await self._in_thread(work)

    async def _by_model(self, file: str, meeting: Meeting) -> tuple[Problem, Matched]:
        """Score by a model that is in service, and solve."""
        model, breaker = self._models.get(file), self._breakers[file]
        permit = None if model is None else breaker.acquire(self._now_ns())
        if model is None or permit is None:
            return meeting.problem, []
        ending = Ending.SLOW  # so it counts when it is given up
        try:
            sides = read_sides(model.terms, meeting.tasks, meeting.resources)
            answer = await self._in_thread(partial(_predict_and_solve, model, sides, meeting))
            ending = Ending.OK
        except ModelError:
            ending = Ending.FAILED
            raise
        finally:
            breaker.record(permit, ending, self._now_ns())
        return answer

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


async def _let_others_run() -> None:
    """Between two pieces of 1 to 3 ms. Twice: whoever waits for a timer is woken in one turn and runs in the next."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _with(meeting: Meeting, scores: NDArray[np.float64]) -> Meeting:
    return meeting._replace(problem=meeting.problem._replace(scores=scores))


def _solve(meeting: Meeting) -> tuple[Problem, Matched]:
    """The pairs, and the problem with the scores that they are told with."""
    return meeting.problem, solve.solve(prefer(meeting).problem)


def _predict_and_solve(model: OutcomeModel, sides: Sides, meeting: Meeting) -> tuple[Problem, Matched]:
    return _solve(_with(meeting, model.predict(sides)))
