"""What is expected of a task with a resource, as a linear model says it: a bias, and weights of features. Pure.

    agent.skill.NAME  agent.attributes.NAME  agent.kind  agent.cost  agent.success
    task.skill.NAME   task.context.NAME      task.channel  task.service_class  task.priority

What is missing counts 0, true 1, a number itself. `FEATURE=VALUE` is 1 where a text is that value. `A * B` is a
product: what a task has times what a resource has makes the difference, for else every pairing has the same sum.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from router.assign.entity import Resource, Task
    from router.assign.policy import ScorePolicy

_AGENT, _TASK = "agent", "task"
_MAPS = {_AGENT: {"skill": "skills", "attributes": "attributes"}, _TASK: {"skill": "skills", "context": "context"}}
_FIELDS = {_AGENT: ("kind", "cost", "success"), _TASK: ("channel", "service_class", "priority")}
ALLOWED = ", ".join(
    f"{who}.{name}" for who in (_AGENT, _TASK) for name in (*(f"{part}.NAME" for part in _MAPS[who]), *_FIELDS[who])
)
_MOST = 1e12
"""A number beyond it counts as missing: sums and products of a few stay exact enough to be compared."""


class Feature(NamedTuple):
    """One value of a task or a resource."""

    field: str
    key: str = ""
    """Within the field, where that is a map."""
    wanted: str | None = None
    """The text that makes it 1."""


class Term(NamedTuple):
    """A product of what a task has and what a resource has; an empty side counts 1."""

    task: tuple[Feature, ...]
    agent: tuple[Feature, ...]


@lru_cache(maxsize=4096)
def parse(text: str) -> Term | None:
    """The term that a key of `weights`, or the name of a column of a model, stands for; None: it is none."""
    sides: dict[str, list[Feature]] = {_TASK: [], _AGENT: []}
    for part in text.split(" * "):
        name, is_text, wanted = part.strip().partition("=")
        who, _, rest = name.partition(".")
        field, _, key = rest.partition(".")
        if who not in sides:
            return None
        if key and field in _MAPS[who]:
            found = Feature(_MAPS[who][field], key, wanted if is_text else None)
        elif rest in _FIELDS[who]:
            found = Feature(rest, "", wanted if is_text else None)
        else:
            return None
        sides[who].append(found)
    return Term(tuple(sides[_TASK]), tuple(sides[_AGENT]))


def find_unknown(names: list[str]) -> list[str]:
    """Which of them are no features, each with what is allowed: a policy with one is refused."""
    return [f"{name!r} is no feature; there are {ALLOWED}" for name in names if parse(name) is None]


def value_of(features: tuple[Feature, ...], subject: Task | Resource) -> float:
    """The product of some features of a task or a resource."""
    if len(features) == 1:  # most often
        return _number(_find(features[0], subject), features[0].wanted)
    return prod([_number(_find(feature, subject), feature.wanted) for feature in features])


def score_one(score: ScorePolicy, task: Task, resource: Resource) -> float:
    """What a model says of one pair; with `kind = "onnx"`, which is not run here, no more than its bias.

    Cost: about 1 us a weight.
    """
    total = score.bias
    for text, weight in score.weights.items():
        term = parse(text)
        if term is not None:
            total += weight * value_of(term.task, task) * value_of(term.agent, resource)
    return total


def _find(feature: Feature, subject: Task | Resource) -> Any:  # noqa: ANN401 - as varied as what a client sends
    found = getattr(subject, feature.field)
    return found.get(feature.key) if feature.key else found


def _number(found: Any, wanted: str | None) -> float:  # noqa: ANN401 - the same
    if wanted is not None:
        return 1.0 if found == wanted else 0.0
    if isinstance(found, (int, float)) and -_MOST <= found <= _MOST:
        return float(found)
    return 0.0
