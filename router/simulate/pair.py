"""What the server's solver answers to a matching, here at once: pairs that are best in sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.assign.command import Pair, Propose
from router.desk.outcome import OutcomeModel
from router.desk.pairing import meet, read_sides, score_all
from router.desk.solve import solve

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from router.assign.engine import Engine
    from router.assign.gather import Matching
    from router.assign.policy import Policy
    from router.desk.pairing import Meeting


class Solver:
    """Scores and matches as a policy says. Models that it names are loaded from `folder`."""

    def __init__(self, policy: Policy, folder: Path) -> None:
        """Raises: ModelError: a file that is no model of an outcome."""
        self._policy = policy
        self._models = {
            name: OutcomeModel(folder / score.file) for name, score in policy.scores.items() if score.kind == "onnx"
        }

    def __call__(self, engine: Engine, matching: Matching) -> Propose:
        meeting = meet(engine.state, matching)
        problem = meeting.problem._replace(scores=self._scores(matching.queue, meeting))
        pairs = tuple(
            Pair(meeting.tasks[row].id, meeting.resources[column].id, float(problem.scores[row, column]))
            for row, column in solve(problem)
        )
        return Propose(number=matching.number, pairs=pairs)

    def _scores(self, queue: str, meeting: Meeting) -> NDArray[np.float64]:
        policy = self._policy.queues[queue]
        if policy.rank != "score" or policy.score is None:
            return meeting.problem.scores
        model = self._models.get(policy.score)
        if model is None:
            return score_all(self._policy.scores[policy.score], meeting.tasks, meeting.resources)
        return model.predict(read_sides(model.terms, meeting.tasks, meeting.resources))
