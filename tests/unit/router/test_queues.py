"""queues.toml: what is refused, and by which words."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from router.assign.policy import STEP_FACTS, TRIGGER_FACTS
from router.domain.decision import Target
from router.policy.errors import PolicyError
from router.queues import compile_condition, fit_queues, problems_of, read_queues, unknown_targets
from tests.contact_center import Center

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.assign.policy import Policy

ROOT = Path(__file__).parents[3]
SOUND = """
skills = ["cards"]
[queues.cards]
hours = "office"
skills = { cards = 1 }
steps = [{ for_s = 30, skills = { cards = 3 }, when = "resource.kind == 'agent'" }, { queues = ["service"] }]
overflow = [{ after_s = 60, when = "ewt_s > 300.0 && agents < 3", queue = "service" }]
escalate_to = "service"
[queues.service]
[hours.office]
timezone = "Europe/Berlin"
week = { mon = ["09:00-17:00"] }
"""


def policy(text: str) -> Policy:
    return fit_queues(tomllib.loads(text), "queues.toml")


def problems(text: str) -> list[str]:
    return problems_of(policy(text), Path())


def test_a_sound_file_has_no_problems(tmp_path: Path) -> None:
    (tmp_path / "queues.toml").write_text(SOUND, encoding="utf-8")
    read = read_queues(tmp_path / "queues.toml")
    assert list(read.queues) == ["cards", "service"]
    assert problems(SOUND) == []


def test_the_version_is_that_of_the_content() -> None:
    first = policy(SOUND).version
    assert first
    assert policy(f"# a comment\n{SOUND}").version == first
    assert policy(SOUND.replace("300.0", "301.0")).version != first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[queues.cards]\nhuors = 'x'",
            "queues.toml: queues.cards: object contains unknown field `huors`; allowed: description",
        ),
        ("[queues.'a b']", "queues.toml: queues.a b: "),
        ("[queues.a]\nskills = { 'Ger man' = 3 }", "queues.toml: queues.a: skills: key 'Ger man': "),
        ("[queues.cards]\nmost = 0", "queues.toml: queues.cards: most: "),
        ("[queues.cards]\nrank = 'best'", "queues.cards: rank: invalid enum value 'best'; allowed: longest_idle,"),
        ("[queues.cards]\nskills = { cards = 6 }", "queues.toml: queues.cards: skills.cards: expected `int` <= 5"),
        ("[queues.cards]\nsteps = [{ for_s = -1 }]", "queues.toml: queues.cards: steps[0].for_s: "),
        ("[queues]\n[ramp]\nmany = 3", "queues.toml: ramp: object contains unknown field `many`; allowed: most"),
        ("version = 'x'\n[queues.cards]", "queues.toml: version: is made from the content"),
        ("max_tasks = 10", "queues.toml: top level: object missing required field `queues`"),
    ],
)
def test_a_value_that_can_not_be_is_named(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[queues]", "queues: there is none"),
        ("[queues.a]\nhours = 'x'", "queues.a.hours: 'x' is not there; there is none"),
        ("[queues.a]\nescalate_to = 'b'", "queues.a.escalate_to: 'b' is not there; there are a"),
        ("[queues.a]\nsteps = [{ queues = ['b'] }]", "queues.a.steps[0].queues: 'b' is not there; there are a"),
        ("[queues.a]\noverflow = [{ when = 'true', queue = 'b' }]", "queues.a.overflow[0].queue: 'b' is not there"),
        ("[queues.a]\noverflow = [{ when = 'true', queue = 'a' }]", "queues.a.overflow[0].queue: is the queue itself"),
        ("[queues.a]\noverflow = [{ when = 'true' }]", "queues.a.overflow[0].queue: a trigger needs something to do"),
        (
            "[queues.a]\noverflow = [{ when = 'true', queue = 'b', then = 'cancel' }]\n[queues.b]",
            "queues.a.overflow[0].then: a task that moves to b is not also to be 'cancel'",
        ),
        (
            "[queues.a]\noverflow = [{ when = 'wait > 3', priority = 1 }]",
            "queues.a.overflow[0].when: `wait > 3` names wait; the variables are agents, channel",
        ),
        (
            "[queues.a]\noverflow = [{ when = 'true', priority = 1, after_s = 9 }, { when = 'true', priority = 1 }]",
            "queues.a.overflow[1].after_s: 0 comes behind 9",
        ),
        ("[queues.a]\nsteps = [{ when = 'waited_s > 3.0' }]", "queues.a.steps[0].when: `waited_s > 3.0` names"),
        ("[queues.a]\nsteps = [{}, {}]", "queues.a.steps[0].for_s: only the last step has none"),
        ("[queues.a]\nsteps = [{ for_s = 3 }]", "queues.a.steps[0].for_s: the last step has none"),
        ("skills = ['x']\n[queues.a]\nskills = { y = 1 }", "queues.a.skills: 'y' is not there; there are x"),
        ("skills = ['x']\n[queues.a]\nsteps = [{ skills = { y = 1 } }]", "queues.a.steps[0].skills: 'y' is not there"),
        ("[queues.a]\nrank = 'score'", "queues.a.score: goes with rank = 'score'"),
        ("[queues.a]\nscore = 'x'\n[scores.x]\nweights = { 'task.priority' = 1 }", "queues.a.score: goes with rank"),
        ("[queues.a]\nrank = 'score'\nscore = 'x'", "queues.a.score: 'x' is not there"),
        ("[queues.a]\n[scores.x]\nkind = 'onnx'", "scores.x: file: is needed"),
        ("[queues.a]\n[scores.x]\nkind = 'onnx'\nfile = 'gone.onnx'", "scores.x.file: gone.onnx: can't be read"),
        ("[queues.a]\n[scores.x]", "scores.x: kind = 'linear' needs weights"),
        ("[queues.a]\n[scores.x]\nweights = { luck = 1 }", "scores.x.weights: "),
        ("[queues.a]\n[scores.x]\nweights = { 'task.priority' = nan }", "scores.x: task.priority: nan is no number"),
        ("[queues.a]\n[hours.x]\ntimezone = 'Mars/Olympus'", "hours.x: timezone: 'Mars/Olympus' is no IANA time zone"),
        ("[queues.a]\n[hours.x]\nweek = { mon = ['9-5'] }", "hours.x: week.mon[0]: '9-5' is no span"),
        (
            "\n".join(f"[queues.{a}]\noverflow = [{{ when = 'true', queue = '{b}' }}]" for a, b in ("ab", "bc", "ca")),
            "queues.a.overflow: a -> b -> c -> a is a circle",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_named(text: str, said: str) -> None:
    found = problems(text)
    assert any(problem.startswith(said) for problem in found), found
    assert len(found) == 1


FIELDS = "the fields of resource are attributes, capacity, cost, id, kind, name, queues, skills, success"


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("resource.attribute.tier == 'a'", f"names resource.attribute; {FIELDS}"),
        ("resource['properties'].tier == 'a'", f"names resource.properties; {FIELDS}"),
        ("resource.cost < 1.0 && has(resource.skill)", f"names resource.skill; {FIELDS}"),
        ("resource.attributes.tier == 'a' || resource.rank > 1", f"names resource.rank; {FIELDS}"),
        ("skill.cards >= 3", "names skill; the variables are resource"),
        ("resource.name > 3", "resource.name is text"),
        ("resource.attributes.tier == 'a' && resource.cost * 2 > 3.0", "resource.cost is a number"),
        ("resource.kind.type == 'agent'", "resource.kind is text"),
        ("size(resource.capacity) > 1", "resource.capacity is a whole number"),
        ("'a' in resource.id", "resource.id is text"),
        ("resource.capacity", "`resource.capacity` is a whole number, not true or false"),
    ],
)
def test_a_step_names_a_field_that_is_not_there_or_of_another_type(when: str, said: str) -> None:
    (found,) = problems(f'[queues.a]\nsteps = [{{ for_s = 3 }}, {{ when = "{when}" }}]')
    assert found.startswith(f"queues.a.steps[1].when: `{when}`")
    assert said in found


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("channel > 3", "channel is text"),
        ("context.vip && !waiting", "waiting is a whole number"),
        ("ewt_s + 3 > 5.0", "ewt_s is a number"),
        ("is_open >= 1", "is_open is true or false"),
        ("context > 3", "context is a table"),
    ],
)
def test_a_trigger_compares_what_can_not_be_compared(when: str, said: str) -> None:
    (found,) = problems(f'[queues.a]\noverflow = [{{ when = "{when}", priority = 1 }}]')
    assert found.startswith(f"queues.a.overflow[0].when: `{when}`")
    assert said in found


@pytest.mark.parametrize(
    "when",
    [
        "resource.attributes.tier == 'a' && resource.attributes['site'].floor > 2",
        "resource.skills.cards >= 3 && 'law' in resource.skills",
        "resource.queues[3] == 'law' || resource.queues.exists(q, q == 'a')",
        "size(resource.attributes) > 2 && resource['cost'] < 1",
        "int(resource.name) > 3 && timestamp(resource.id) > timestamp('2026-01-01T00:00:00Z')",
        "10 / (resource.capacity - 1) > 2",
        "has(resource.attributes.age) ? resource.attributes.age > 3 : resource.name > 3",
        "size(resource) > 3 || 'attributes' in resource",
        "resource.capacity > 3 || resource.name > 3",
        "resource.cost > 3 && resource.capacity >= 2.5",
        "resource.name != 'resource.attribute' && resource.kind == 'agent'",
        "resource.kind.startsWith('a') && resource.name.size() > 2 && true",
    ],
)
def test_a_step_that_is_right_for_some_is_allowed(when: str) -> None:
    assert problems(f'[queues.a]\nsteps = [{{ when = "{when}" }}]') == []


@pytest.mark.parametrize(
    "when",
    ["context.amount > 3 || context['vip']", "has(context.a.b) && size(context) < 9", "ewt_s > 3 && ewt_s > waiting"],
)
def test_a_trigger_that_is_right_for_some_is_allowed(when: str) -> None:
    assert problems(f'[queues.a]\noverflow = [{{ when = "{when}", priority = 1 }}]') == []


def test_conditions_of_a_log_are_compiled_whatever_they_name() -> None:
    """A policy that was in force before such conditions were refused can still be recovered."""
    assert not compile_condition("resource.attribute.tier == 'a'")({"resource": {"attributes": {"tier": "a"}}})


def _kinds(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: _kinds(fact) if name == "resource" else type(fact) for name, fact in facts.items()}


def test_the_facts_that_conditions_are_checked_with_are_those_of_the_engine() -> None:
    seen: list[dict[str, Any]] = []

    def compiled(_: str) -> Callable[[dict[str, Any]], bool]:
        def holds(facts: dict[str, Any]) -> bool:
            seen.append(facts)
            return False

        return holds

    text = '[queues.cards]\nsteps = [{ when = "step" }]\noverflow = [{ when = "trigger", priority = 1 }]'
    center = Center(policy(text), compile_condition=compiled)
    center.agent("ana", "cards")
    center.task("one", "cards")
    assert _kinds(seen[0]) == _kinds(STEP_FACTS)
    assert _kinds(seen[-1]) == _kinds(TRIGGER_FACTS)


def test_a_circle_that_takes_its_time_is_allowed() -> None:
    text = (
        "[queues.a]\noverflow = [{ when = 'true', queue = 'b', after_s = 1 }]\n"
        "[queues.b]\noverflow = [{ when = 'true', queue = 'a' }]"
    )
    assert problems(text) == []


def test_each_problem_is_found_and_the_first_refuses(tmp_path: Path) -> None:
    text = "[queues.a]\nhours = 'x'\nescalate_to = 'y'"
    assert len(problems(text)) == 2
    (tmp_path / "queues.toml").write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError, match=r"queues\.toml: queues\.a\.hours"):
        read_queues(tmp_path / "queues.toml")


def test_conditions_for_the_engine() -> None:
    holds = compile_condition("ewt_s > 300 && 'gold' in resource.skills")
    facts: dict[str, Any] = {"ewt_s": float("inf"), "resource": {"skills": {"gold": 1}}}
    assert holds(facts)
    assert not holds({**facts, "ewt_s": 1.0})
    assert not holds({"ewt_s": 301.0}), "what it needs is not there"


def test_a_route_to_a_queue_that_is_not_there() -> None:
    targets = {
        "cards": Target(kind="queue", name="cards"),
        "lost": Target(kind="queue", name="lost"),
        "faq": Target(kind="bot", name="lost"),
    }
    assert unknown_targets(targets, policy(SOUND)) == [
        "routes.lost: target.name = 'lost' is no queue; the queues are cards, service"
    ]


@pytest.mark.parametrize("file", ["examples/bank/queues.toml", "router/templates/queues.toml"])
def test_the_files_that_come_along_are_well(file: str) -> None:
    assert problems_of(policy((ROOT / file).read_text(encoding="utf-8")), ROOT / "examples" / "bank") == []


def test_the_template_names_no_key_that_is_not_there() -> None:
    """What stands behind `#` is TOML too, with keys of the policy."""
    lines = (ROOT / "router/templates/queues.toml").read_text(encoding="utf-8").splitlines()
    shown = [line.removeprefix("#").removeprefix(" ") if _is_key(line) else line for line in lines]
    assert shown != lines
    text = "\n".join(shown)
    assert problems_of(policy(text.replace('hours = "office"', "")), Path()) == []
    assert msgspec.structs.asdict(policy(text))["lease"].ttl_s == 15


def _is_key(line: str) -> bool:
    text = line.removeprefix("#").lstrip()
    return line.startswith("#") and (text.startswith("[") or (" = " in text and text.split(" = ")[0].isidentifier()))
