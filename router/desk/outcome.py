"""A model of the outcome that somebody trained: an ONNX graph that scores pairs of tasks and resources.

What the graph must be, whatever tool makes it:

    input     one, float32[pairs, d]
    metadata  `features`: a JSON list of d names, one for each column of the input; each is a feature or a product of
              features as in the weights of a linear score (router/assign/score.py names them), such as
              ["task.priority", "agent.skill.french", "task.context.language=fr * agent.skill.french"]
    output    the last one, float32[pairs] or float32[pairs, n]: of several columns the last counts, which for a
              classifier of two classes is the probability of success. The higher the better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from models.errors import BadOutput, ModelError
from models.session import Session
from router.assign.score import find_unknown, parse

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from router.assign.score import Term
    from router.desk.pairing import Sides

_COLUMNS = 2
"""Dimensions of the input."""


class BadModel(ModelError):
    """A file that is no model of an outcome."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class OutcomeModel:
    """One graph, loaded. Safety: any thread."""

    def __init__(self, path: Path) -> None:
        """Load it. Raises: BadModel: not what the module asks for. models.errors.BadFile: no graph at all."""
        try:
            graph = path.read_bytes()
        except OSError as error:
            raise BadModel(path, f"can't be read ({error.strerror or error})") from error
        self._session = Session(path, graph)
        self.terms = self._read_terms(path)

    def _read_terms(self, path: Path) -> list[Term]:
        try:
            names = msgspec.json.decode(self._session.metadata.get("features", ""), type=list[str])
        except msgspec.DecodeError as error:
            raise BadModel(path, 'its metadata needs `features`, a JSON list such as ["task.priority"]') from error
        unknown = find_unknown(names)
        if unknown:
            raise BadModel(path, "; ".join(unknown))
        ports = list(self._session.inputs.values())
        fits = len(ports) == 1 and ports[0].kind == "tensor(float)" and len(ports[0].shape) == _COLUMNS
        if not fits or (ports[0].shape[1] not in (len(names), None) and not isinstance(ports[0].shape[1], str)):
            raise BadModel(path, f"needs one input, float32[pairs, {len(names)}], as many columns as features")
        if not self._session.outputs or list(self._session.outputs.values())[-1].kind != "tensor(float)":
            raise BadModel(path, "its last output must be float32[pairs] or float32[pairs, n]")
        return [term for name in names if (term := parse(name)) is not None]

    def predict(self, sides: Sides) -> NDArray[np.float64]:
        """Shapes: float64[tasks, resources]. Raises: RunFailed, BadOutput."""
        tasks, resources = len(sides.tasks), len(sides.resources)
        pairs = sides.tasks[:, None, :] * sides.resources[None, :, :]
        feed = pairs.reshape(tasks * resources, len(self.terms)).astype(np.float32)
        answer = self._session.run(dict.fromkeys(self._session.inputs, feed))[-1]
        if len(answer) != len(feed):
            raise BadOutput(f"a model of the outcome answered {len(answer)} scores for {len(feed)} pairs")
        scores = answer.reshape(len(feed), -1)[:, -1].astype(np.float64)
        if not np.isfinite(scores).all():
            raise BadOutput("a model of the outcome answered NaN or infinity")
        return scores.reshape(tasks, resources)
