"""queues.toml: what is refused, and by which words."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from router.domain.decision import Target
from router.policy.errors import PolicyError
from router.queues import compile_condition, fit_queues, problems_of, read_queues, unknown_targets

if TYPE_CHECKING:
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
