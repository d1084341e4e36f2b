"""The file queues.toml: read strictly, checked whole, and compared with the routes that lead to its queues."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from models.errors import ModelError
from router.assign.check import find_problems
from router.assign.policy import STEP_FACTS, TRIGGER_FACTS, Name, Policy
from router.desk.outcome import OutcomeModel
from router.policy.errors import ExpressionError, PolicyError
from router.policy.expression import Expression
from router.policy.project import fit, parse_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from router.domain.decision import Target

_FACTS = {**STEP_FACTS, **TRIGGER_FACTS}


def read_queues(path: Path) -> Policy:
    """The policy of a file. Raises: PolicyError naming file, key and what is allowed."""
    policy = fit_queues(parse_toml(path), str(path))
    for problem in problems_of(policy, path.parent):
        raise PolicyError(f"{path}: {problem}")
    return policy


def fit_queues(raw: dict[str, Any], where: str) -> Policy:
    """Values of the right kind, not yet compared with each other. Raises: PolicyError.

    Each entry of a table on its own first, because msgspec does not say which one it means.
    """
    if "version" in raw:
        raise PolicyError(f"{where}: version: is made from the content; leave it out")
    for field in msgspec.structs.fields(Policy):
        table = raw.get(field.encode_name)
        kinds = get_args(field.type)
        if not isinstance(table, dict) or not kinds:  # only [queues.NAME] and its like have a kind of their entries
            continue
        for name, entry in table.items():
            at = f"{where}: {field.encode_name}.{name}"
            fit({name: entry}, dict[Name, Any], at)
            fit(entry, kinds[1], at)
    policy = fit(raw, Policy, where)
    return msgspec.structs.replace(policy, version=version_of(policy))


def version_of(policy: Policy) -> str:
    """Of what it says, whatever file and comments it stands in."""
    said = msgspec.structs.replace(policy, version="")
    return sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()[:12]


def problems_of(policy: Policy, folder: Path) -> list[str]:
    """All that is wrong with it, files that it names included; `folder` is where they are looked for."""
    problems = find_problems(policy, _check)
    for name, score in policy.scores.items():
        if score.file:
            try:
                OutcomeModel(folder / score.file)
            except ModelError as error:
                problems.append(f"scores.{name}.file: {error}")
    return problems


def _check(source: str, facts: Mapping[str, object]) -> None:
    """Raises: ValueError."""
    try:
        Expression(source, facts).check(facts)
    except ExpressionError as error:
        raise ValueError(str(error)) from None


def compile_condition(source: str) -> Callable[[dict[str, Any]], bool]:
    """For the engine, which knows no CEL. Not checked: it may be of a log from before there was a check.

    Raises: ValueError.
    """
    try:
        condition = Expression(source, _FACTS)
    except ExpressionError as error:
        raise ValueError(str(error)) from None
    return lambda facts: condition.holds(facts.__getitem__)


def unknown_targets(targets: Mapping[str, Target], policy: Policy) -> list[str]:
    """Routes that lead to a queue which is not there."""
    known = ", ".join(sorted(policy.queues))
    return [
        f"routes.{route}: target.name = {target.name!r} is no queue; the queues are {known}"
        for route, target in targets.items()
        if target.kind == "queue" and target.name not in policy.queues
    ]
