"""A new version against the active one: what is compared, what is a loss, and what is only chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models import canary, registry
from models.canary import Answer, Comparison, RungComparison
from models.classifier import Classifier, Prediction
from models.columns import Value
from models.data import Example
from models.errors import BadOutput, LessAccurate, ManifestError
from tests.versions import add_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Rows = list[tuple[str, str]]


def _answers(labels: Sequence[str | None]) -> list[Answer]:
    return [Answer(label, is_sure=True) for label in labels]


def _judged(both: int, lost: int, won: int) -> RungComparison:
    """So many rows right in both, only in the active, only in the new version."""
    number = both + lost + won
    new = ["a"] * both + ["b"] * lost + ["a"] * won
    active = ["a"] * both + ["a"] * lost + ["b"] * won
    return canary.judge("small", ["a"] * number, _answers(new), _answers(active))


def test_shares_are_of_all_texts() -> None:
    new = [Answer("a", is_sure=True), Answer("b", is_sure=True), Answer("b", is_sure=False), Answer("b", is_sure=False)]
    found = canary.judge("large", ["a", "b", "b", "a"], new, _answers(["a", "a", "b", None]))
    assert (found.against, found.agreement_share, found.accuracy, found.accuracy_active) == ("large", 0.5, 0.75, 0.5)
    assert (found.sure_share, found.sure_share_active) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("lost", "won", "p_value"), [(0, 0, 1.0), (1, 0, 0.5), (0, 1, 1.0), (5, 0, 1 / 32), (8, 2, 56 / 1024)]
)
def test_chance_is_mcnemars(lost: int, won: int, p_value: float) -> None:
    assert _judged(20, lost, won).p_value == pytest.approx(p_value)


@pytest.mark.parametrize(
    ("both", "lost", "won", "is_refused"),
    [
        pytest.param(195, 5, 0, True, id="2.5 points, beyond chance"),
        pytest.param(196, 4, 0, False, id="2 points are allowed"),
        pytest.param(180, 12, 7, False, id="2.5 points, by chance"),
        pytest.param(15, 1, 0, False, id="one row is chance"),
        pytest.param(95, 0, 5, False, id="better"),
        pytest.param(0, 200, 0, True, id="all"),
    ],
)
def test_a_loss_is_refused_if_it_is_large_and_real(both: int, lost: int, won: int, is_refused: bool) -> None:
    comparison = Comparison(texts=both + lost + won, rungs={"small": _judged(both, lost, won)})
    if not is_refused:
        canary.refuse_loss(comparison, 0.02)
        return
    with pytest.raises(LessAccurate, match=r"small: right on .* models\.canary_loss_share allows a loss of 2\.0%"):
        canary.refuse_loss(comparison, 0.02)


def _loaded(folder: Path, trained: Path, heat: float, **changes: object) -> registry.LoadedModels:
    return registry.load(folder / add_version(folder, trained, heat, **changes))  # type: ignore[arg-type]


def test_the_same_model_agrees_with_itself(tmp_path: Path, trained: Path, examples: Rows) -> None:
    new, active = _loaded(tmp_path, trained, 1.0), _loaded(tmp_path, trained, 1.5)
    costs_ns: list[int] = []
    found = canary.compare(new, active, examples, costs_ns.append)
    assert found.texts == len(examples) == 96
    assert len(costs_ns) == 2 * 96
    assert min(costs_ns) > 0
    small = found.rungs["small"]
    assert (small.agreement_share, small.p_value) == (1.0, 1.0)
    assert small.accuracy == small.accuracy_active > 0.9


def test_a_model_that_says_one_thing_only_is_found_out(tmp_path: Path, trained: Path, examples: Rows) -> None:
    new, active = _loaded(tmp_path, trained, 1.0, bias=(0, 0, 0, 99)), _loaded(tmp_path, trained, 1.0)
    found = canary.compare(new, active, examples, lambda _: None)
    with pytest.raises(LessAccurate):
        canary.refuse_loss(found, 0.02)
    canary.refuse_loss(canary.compare(active, new, examples, lambda _: None), 0.02)


def test_only_routes_that_both_know_are_compared(tmp_path: Path, trained: Path, examples: Rows) -> None:
    names = registry.load(trained).manifest.labels
    new = _loaded(tmp_path, trained, 1.0, labels=("fraud", *names[1:]))
    found = canary.compare(new, registry.load(trained), examples, lambda _: None)
    assert (found.texts, found.new_routes, found.lost_routes) == (72, ("fraud",), (names[0],))
    found = canary.compare(new, registry.load(trained), [("text", "fraud")], lambda _: None)
    assert found.rungs == {}
    assert found.note == "not compared: of 1 canary texts none has a route that both versions know"


def test_the_best_rung_is_compared_with_the_best(tmp_path: Path, trained: Path, examples: Rows) -> None:
    one, two = _loaded(tmp_path, trained, 1.0), _loaded(tmp_path, trained, 1.5)
    both = registry.LoadedModels(
        manifest=one.manifest, rungs={"small": one.rungs["small"], "large": two.rungs["small"]}
    )
    pairs = {
        (len(new.rungs), len(active.rungs)): {
            name: rung.against for name, rung in canary.compare(new, active, examples[:4], lambda _: None).rungs.items()
        }
        for new, active in ((both, both), (both, one), (one, both))
    }
    assert pairs == {
        (2, 2): {"small": "small", "large": "large"},
        (2, 1): {"small": "small", "large": "small"},
        (1, 2): {"small": "large"},  # what would be lost with `large`
    }


def test_an_active_rung_that_fails_is_wrong_and_a_new_one_is_unusable(
    trained: Path, examples: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, active = registry.load(trained), registry.load(trained)
    broken = active.rungs["small"].classifier

    def predict(self: Classifier, text: str, values: tuple[Value, ...] = ()) -> Prediction:
        if self is broken:
            raise BadOutput("small: logits are not finite")
        return whole(self, text, values)

    whole = Classifier.predict
    monkeypatch.setattr(Classifier, "predict", predict)
    small = canary.compare(new, active, examples, lambda _: None).rungs["small"]
    assert (small.accuracy_active, small.sure_share_active, small.agreement_share) == (0, 0, 0)
    with pytest.raises(BadOutput):
        canary.compare(active, new, examples, lambda _: None)


def test_canary_texts_are_read(tmp_path: Path) -> None:
    assert canary.read(tmp_path) == []
    (tmp_path / canary.CANARY_FILE).write_text('[["a text", "a route"]]', encoding="utf-8")
    assert canary.read(tmp_path) == [Example("a text", "a route")]
    for content in (b'{"a text": "a route"}', b'[["a text", "\xff"]]'):
        (tmp_path / canary.CANARY_FILE).write_bytes(content)
        with pytest.raises(ManifestError, match=r"canary\.json: cannot be read"):
            canary.read(tmp_path)
