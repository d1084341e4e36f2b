"""What a client sends beside the text decides, from the first request to a model that learned from its decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.train import train
from router.cli import main
from tests.context_task import COLUMNS, examples
from tests.http_project import write_project
from tests.http_server import JSON_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.config import Config
    from tests.http_server import LoopThread, Running

_NAMES = ("desk", "refund_senior", "refund_bot", "delivery", "delivery_desk", "login")
_COLUMNS = '[[columns]]\nname = "channel"\n[[columns]]\nname = "context.cart_value"\nkind = "number"\n'
_HOUR = '[[columns]]\nname = "hour"\nkind = "number"\n'
_ROUTES = 'default = "desk"\nunsure = "desk"\n' + _COLUMNS + _HOUR + "[routes]\n"
_ROUTES += "".join(f'{name} = {{ target = {{ kind = "queue", name = "{name}" }} }}\n' for name in _NAMES)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A project with columns; its models do not know the hour."""
    folder = tmp_path_factory.mktemp("context")
    train(examples(400, 1), folder / "trained", validation=examples(200, 2), columns=COLUMNS)
    config = write_project(folder / "shop", folder / "trained")
    config.routes_path.write_text(_ROUTES, encoding="utf-8")
    config.rules_path.write_text("", encoding="utf-8")
    return config


@pytest.fixture(scope="module")
def shop(loop_thread: LoopThread, config: Config) -> Iterator[Running]:
    with loop_thread.serving(config, allow_faults=True) as running:
        yield running


def test_the_same_text_goes_elsewhere_with_another_cart(shop: Running) -> None:
    dear = shop.decide("give me my money back", context={"cart_value": 500})
    cheap = shop.decide("give me my money back", context={"cart_value": 5})
    assert (dear["route"], cheap["route"]) == ("refund_senior", "refund_bot")
    assert dear["rung"] == cheap["rung"] == "small"
    again = shop.decide("Give me my  money back", context={"cart_value": 500.0, "other": [1]})
    assert (again["route"], again["rung"]) == ("refund_senior", "cache")


def test_the_channel_decides_where_it_was_learned_to(shop: Running) -> None:
    routes = [shop.decide("track my order", channel=channel)["route"] for channel in ("phone", "mail", "PHONE")]
    assert routes == ["delivery_desk", "delivery", "delivery_desk"]


@pytest.mark.parametrize("context", [{}, {"cart_value": None}, {"cart_value": "500"}, {"cart_value": [500]}])
def test_a_value_that_is_missing_or_odd_leaves_the_text_to_decide(shop: Running, context: dict[str, object]) -> None:
    answer = shop.decide("forgot my password", context=context)
    assert answer["route"] == "login"
    plain = shop.decide("give me my money back")
    odd = shop.decide("give me my money back", context=context)
    assert (odd["route"], odd["confidence"], odd["rung"]) == (plain["route"], plain["confidence"], "cache")


def test_a_batch_knows_whose_context_is_whose(shop: Running) -> None:
    asked = [{"text": "refund my order", "context": {"cart_value": value}} for value in (500, 5, 500)]
    reply = shop.post({"interactions": asked}, path="/v1/interactions:batch")
    assert [each["route"] for each in reply.json()["decisions"]] == ["refund_senior", "refund_bot", "refund_senior"]


def test_faults_between_the_parts_lose_no_context(shop: Running) -> None:
    assert shop.ask("PUT", "/v1/admin/faults", b'{"small": {"delay_ms": 1}}', JSON_TYPE).status == 200
    assert shop.decide("hi, refund my order", context={"cart_value": 500})["route"] == "refund_senior"
    assert shop.ask("PUT", "/v1/admin/faults", b"{}", JSON_TYPE).status == 200


def test_the_log_keeps_what_is_declared_and_no_more(shop: Running) -> None:
    made = shop.decide("refund my order", context={"cart_value": 7, "iban": "DE00"}, channel="mail")
    record = shop.ask("GET", f"/v1/decisions/{made['decision_id']}").json()
    known = dict(record["columns"])
    assert known.keys() == {"channel", "context.cart_value", "hour"}  # the hour is declared, and not yet learned
    assert (known["channel"], known["context.cart_value"]) == ("mail", 7)
    assert 0 <= known["hour"] <= 23
    assert "DE00" not in str(record)


def test_decisions_put_right_change_the_next_version(loop_thread: LoopThread, config: Config, tmp_path: Path) -> None:
    text = "das hier bitte zu den Akten"
    with loop_thread.serving(config) as running:
        made = [running.decide(f"{text} {number}", context={"cart_value": 20 + number}) for number in range(15)]
    labels, rows = tmp_path / "right.csv", tmp_path / "utterances.csv"
    lines = "".join(f"{each['decision_id']},desk\n" for each in made)
    labels.write_text(f"decision_id,route\n{lines}", encoding="utf-8")
    cells = "".join(f'"{row.text}",{row.route},{row.values[0]},{row.values[1]},\n' for row in examples(120, 1))
    rows.write_text(f"text,route,channel,context.cart_value,hour\n{cells}", encoding="utf-8")
    takt_toml = str(config.folder / "takt.toml")
    assert main(["train", "-c", takt_toml, "--utterances", str(rows), "--labels", str(labels)]) == 0
    with loop_thread.serving(config) as running:
        answer = running.decide(f"{text} bitte", context={"cart_value": 30})
    assert (answer["route"], answer["reason"]) == ("desk", "model")
