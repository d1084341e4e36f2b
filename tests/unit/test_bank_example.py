"""The guards of the example bank: what people say is met, and what only looks like it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from budgets.deadline import BudgetSettings
from fallbacks.rules import Match
from models.data import read_csv
from router.domain.interaction import Interaction
from router.policy.point import Point, Request, Verdict, build_point
from router.policy.project import read_project

BANK = Path(__file__).parents[2] / "examples" / "bank"


@pytest.fixture(scope="module")
def point() -> Point:
    return build_point("interactions", read_project(BANK / "routes.toml", BANK / "rules.toml"), BudgetSettings())


def match(point: Point, text: str, **more: Any) -> Match[Verdict] | None:
    request = Request(Interaction(text=text, **more), 50.0)
    request.read((), 0)
    return point.guards.first(request.words, request.fact)


def guard(point: Point, text: str, **more: Any) -> str | None:
    """The name of the guard that decides, if one does."""
    found = match(point, text, **more)
    return None if found is None else found.name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("human please", "wants_human"),
        ("Human, please!", "wants_human"),
        ("let me talk to an actual human", "wants_human"),
        ("I want to talk to a real person", "wants_human"),
        ("connect me to an agent", "wants_human"),
        ("i dont want to talk to a bot", "wants_human"),
        ("I don't want to talk to a bot!", "wants_human"),
        ("Ich will mit einem Mitarbeiter sprechen", "wants_human"),
        ("keinen Bot, bitte", "wants_human"),
        ("can i talk to someone", "wants_someone"),
        ("Hi, could I please speak to someone?", "wants_someone"),
        ("Mensch bitte", "wants_someone"),
        ("Bitte einen Menschen, bitte!", "wants_someone"),
        ("Kann ich bitte mit jemandem sprechen?", "wants_someone"),
        ("Betrug!", "fraud_cry"),
        ("betrug", "fraud_cry"),
        ("Hilfe, Betrug!!", "fraud_cry"),
        ("Das ist Betrug", "fraud_words"),
        ("mein Konto wurde gehackt", "fraud_words"),
        ("I think this is a scam", "fraud_words"),
        ("my husband died last week", "vulnerable"),
        ("Mein Vater ist gestorben, was passiert mit dem Konto?", "vulnerable"),
    ],
)
def test_what_people_say_is_met(point: Point, text: str, name: str) -> None:
    assert guard(point, text) == name


@pytest.mark.parametrize(
    "text",
    [
        "die Gebühr betrug 5 Euro",
        "Warum betrug der Kurs gestern 1,10?",
        "ich weiß nicht mehr, wie viel das betrug.",
        "can i talk to someone about a mortgage",
        "my card is gone, can i talk to someone",
        "Ich möchte mit jemandem über einen Kredit sprechen",
        "Meine Karte wurde geklaut, kann ich mit jemandem sprechen?",
        "Mensch, bitte schickt mir endlich die Karte",
        "mein Mitarbeiter hat keine Karte bekommen",
        "is there a fee for using a travel agent",
        "scampi at the restaurant, card declined",
    ],
)
def test_what_only_looks_like_it_is_not(point: Point, text: str) -> None:
    assert guard(point, text) is None


def test_premium_customers_reach_a_person_on_the_phone_only(point: Point) -> None:
    def vip(channel: str, value: object) -> str | None:
        return guard(point, "what is my balance", channel=channel, context={"vip": value})

    assert vip("phone", True) == "vip_on_the_phone"
    assert vip("chat", True) is None
    assert vip("phone", "yes") is None
    assert guard(point, "what is my balance", channel="phone") is None


def test_no_guard_takes_a_message_from_its_route(point: Point) -> None:
    rows = [row for file in ("utterances.en.csv", "utterances.de.csv", "test.csv") for row in read_csv(BANK / file)]
    met = [(row.text, row.route, match(point, row.text)) for row in rows]
    assert [(text, found.name) for text, route, found in met if found and found.answer.route != route] == []
