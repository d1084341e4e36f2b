"""What the example bank's answers are worth, and texts that ask its models."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from budgets.deadline import BudgetSettings
from models.data import read_csv
from models.evaluate import evaluate
from models.features import normalise, words
from models.store import resolve
from router.policy.point import build_point
from router.policy.project import read_project
from tests.bench.traffic import EXAMPLE, utterances

if TYPE_CHECKING:
    from router.policy.point import Point

MODELS = EXAMPLE / "models"


@cache
def _point() -> Point:
    project = read_project(EXAMPLE / "routes.toml", EXAMPLE / "rules.toml")
    return build_point("bench", project, BudgetSettings())


def _is_for_models(text: str) -> bool:
    """No guard decides it: it costs a model."""
    return _point().guards.first(words(normalise(text)), dict[str, str]().get) is None


def write_texts(folder: Path) -> Path:
    """All texts of the bank that ask a model, as a payload of the load tester."""
    path = folder / "texts.jsonl"
    path.write_bytes(
        b"".join(msgspec.json.encode({"text": text}) + b"\n" for text in utterances() if _is_for_models(text))
    )
    return path


def require_large() -> None:
    """Raises: SystemExit: the example's models have no rung large."""
    if not (resolve(MODELS).path / "large.onnx").exists():
        raise SystemExit(f"{MODELS}: has no rung large; `make encoder` and `takt train`")


def qualities() -> dict[str, float]:
    """Accuracy of each rung on the bank's test set, rows that a guard decides left out.

    Of the floor, which is `rules` or `default`, as asked: what a server says that must not use a model.
    """
    rows = [row for row in read_csv(EXAMPLE / "test.csv") if _is_for_models(row.text)]
    found = evaluate(resolve(MODELS).path, rows)
    known = [row for row in rows if row.route in _point().targets]
    floor = sum(_floor(row.text) == row.route for row in known) / len(known)
    return {name: rung.accuracy for name, rung in found.rungs.items()} | {"rules": floor, "default": floor}


def _floor(text: str) -> str:
    match = _point().rules.first(words(normalise(text)), dict[str, str]().get)
    return _point().default if match is None else match.answer.route
