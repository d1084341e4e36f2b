"""A project compiled into a decision point, and a request as it sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from budgets.deadline import BudgetSettings
from router.domain.decision import Target
from router.domain.interaction import Criticality, Interaction
from router.policy.errors import PolicyError
from router.policy.point import VARIABLES, Plan, Point, Request, build_point
from router.policy.project import Project, RoutesFile, RouteSpec, RulesFile, RuleSpec

TARGET = Target(kind="queue", name="service")


def point(*guards: RuleSpec, rules: tuple[RuleSpec, ...] = ()) -> Point:
    specs = dict.fromkeys(("help", "human"), RouteSpec(target=TARGET))
    routes = RoutesFile(default="help", unsure="human", routes=specs)
    project = Project(routes=routes, rules=RulesFile(guards=guards, rules=rules), routes_path=Path("routes.toml"))
    return build_point("interactions", project, BudgetSettings())


def spec(*keywords: str, when: str | None = None, confidence: float = 0.5) -> RuleSpec:
    return RuleSpec(name="rule", route="human", keywords=keywords, when=when, confidence=confidence)


def request(text: str, **fields: object) -> Request:
    request = Request(Interaction(text=text, **fields), budget_ms=50.0)  # type: ignore[arg-type]
    request.read((), 0)
    return request


def matched(built: Point, asked: Request) -> str | None:
    found = built.guards.first(asked.words, asked.fact)
    return None if found is None else found.why


@pytest.mark.parametrize(
    ("keyword", "text", "why"),
    [
        pytest.param("Real Person", "a REAL  person!", "keyword 'real person'", id="case, spaces, punctuation"),
        pytest.param("betrüger*", "Die BETRÜGERIN", "keyword 'betrügerin'", id="an ending, and umlauts"),
        pytest.param("straße", "in der STRASSE", "keyword 'strasse'", id="case folding"),
        pytest.param("e-mail", "my e-mail?", "keyword 'e mail'", id="punctuation within"),
        pytest.param("don't", "i don't", "keyword 'don t'", id="apostrophe"),
        pytest.param("real pers*", "real personality", "keyword 'real personality'", id="a phrase's ending"),
        pytest.param("cafe\u0301", "caf\u00e9", "keyword 'caf\u00e9'", id="one spelling of accents"),
        pytest.param("card", "discard", None, id="whole words"),
    ],
)
def test_keywords_are_compared_with_the_normalised_text(keyword: str, text: str, why: str | None) -> None:
    assert matched(point(spec(keyword)), request(text)) == why


def test_a_keyword_and_a_condition_must_both_hold() -> None:
    built = point(spec("cash", when='channel == "phone"'))
    assert matched(built, request("cash", channel="phone")) == "keyword 'cash' and when channel == \"phone\""
    assert matched(built, request("cash", channel="chat")) is None
    assert matched(built, request("card", channel="phone")) is None


def test_guards_are_certain_rules_as_certain_as_they_say() -> None:
    built = point(spec("a"), rules=(spec("a", confidence=0.3),))
    asked = request("a")
    guard, rule = built.guards.first(asked.words, asked.fact), built.rules.first(asked.words, asked.fact)
    assert guard is not None
    assert rule is not None
    assert (guard.answer.confidence, rule.answer.confidence) == (1.0, 0.3)


def test_a_point_starts_cold() -> None:
    built = point()
    assert built.plan == Plan()
    assert (built.default, built.unsure, set(built.targets)) == ("help", "human", {"help", "human"})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (spec(when="chanel == 'x'"), r"\[\[guards\]\] rule: when: .*names chanel; the variables are"),
        (spec(when="("), r"\[\[guards\]\] rule: when: .*is not CEL"),
        (spec("!?"), r"\[\[guards\]\] rule: keywords: '!\?' has no letters"),
        (spec("*"), r"\[\[guards\]\] rule: keywords: '\*' has no letters"),
        (spec(""), r"\[\[guards\]\] rule: keywords: '' has no letters"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_with_its_name(wrong: RuleSpec, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        point(wrong)


def test_a_condition_sees_every_variable() -> None:
    asked = request(
        "Hello  THERE",
        channel="mail",
        customer_id="c-1",
        context={"vip": True},
        criticality=Criticality.SHEDDABLE,
    )
    assert {name: asked.fact(name) for name in VARIABLES} == {
        "text": "hello there",
        "channel": "mail",
        "customer_id": "c-1",
        "session_id": None,
        "context": {"vip": True},
        "criticality": "sheddable",
        "budget_ms": 50.0,
    }


@pytest.mark.parametrize("context", [{"vip": "yes"}, {"vip": 1}, {"vip": None}, {"vip": {}}, {}])
def test_what_a_client_sends_cannot_make_a_condition_raise(context: dict[str, object]) -> None:
    assert matched(point(spec(when="context.vip")), request("a", context=context)) is None


def test_queues_are_a_variable_where_there_are_queues() -> None:
    routes = RoutesFile(default="help", unsure="help", routes={"help": RouteSpec(target=TARGET)})

    def built(when: str, *queues: str) -> Point:
        guard = RuleSpec(name="rule", route="help", when=when)
        project = Project(routes=routes, rules=RulesFile(guards=(guard,)), routes_path=Path("routes.toml"))
        return build_point("interactions", project, BudgetSettings(), queues)

    assert built("queues.b.free == 0", "a", "b").queues == ("b",)
    assert built("queues.all(q, queues[q].free == 0)", "a", "b").queues == ("a", "b")
    assert built("true", "a", "b").queues == ()
    with pytest.raises(PolicyError, match=r"names queues\.c; the queues are a, b"):
        built("queues.c.free == 0", "a", "b")
    with pytest.raises(PolicyError, match="names queues; the variables are"):
        built("queues.c.free == 0")
