"""Routes and rules: what is wrong is said with file, key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import DataError
from router.policy.errors import PolicyError
from router.policy.project import Project, read_project, read_utterances

ROUTES = """
default = "help"
unsure = "human"
utterances = ["more.csv"]
[routes.help]
target = { kind = "bot", name = "faq" }
[routes.human]
description = "People."
target = { kind = "queue", name = "service" }
utterances = ["let me talk to someone"]
"""
RULES = """
[[guards]]
name = "wants_human"
keywords = ["real person"]
route = "human"
[[rules]]
name = "vip"
when = "context.vip"
route = "human"
confidence = 0.7
"""


def read(folder: Path, routes: str = ROUTES, rules: str | None = RULES) -> Project:
    (folder / "routes.toml").write_text(routes, encoding="utf-8")
    if rules is not None:
        (folder / "rules.toml").write_text(rules, encoding="utf-8")
    return read_project(folder / "routes.toml", folder / "rules.toml")


def test_a_project(tmp_path: Path) -> None:
    project = read(tmp_path)
    assert list(project.routes.routes) == ["help", "human"]
    assert project.routes.routes["human"].target.kind == "queue"
    assert [(rule.name, rule.confidence) for rule in project.rules.rules] == [("vip", 0.7)]
    assert project.rules.guards[0].keywords == ("real person",)


def test_an_empty_rules_file_means_no_rules_and_a_missing_one_is_refused(tmp_path: Path) -> None:
    assert read(tmp_path, rules="").rules.guards == ()
    (tmp_path / "rules.toml").unlink()
    with pytest.raises(PolicyError, match=r"rules\.toml: no such file"):
        read(tmp_path, rules=None)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        pytest.param('default = "help"\n', "", ["default"], id="a key is missing"),
        pytest.param("[routes.human]", "[routes.oos]", ["routes.oos", "belong to no route"], id="a reserved name"),
        pytest.param('"help"', '"hlep"', ["default", "'hlep'", "help, human"], id="default is no route"),
        pytest.param('unsure = "human"', 'unsure = "x"', ["unsure", "'x'", "help, human"], id="unsure is no route"),
        pytest.param("unsure =", "unsur =", ["unsur", "allowed: default, unsure"], id="an unknown key"),
        pytest.param("description", "descripton", ["human", "descripton", "description"], id="in a route"),
        pytest.param('kind = "queue"', 'kind = "que"', ["human", "kind", "que", "queue"], id="a kind of target"),
        pytest.param('name = "service"', "name = 5", ["human", "target.name", "str"], id="a type"),
        pytest.param("[routes.human]", '[routes."hu man"]', ["routes", "hu man"], id="a route's name"),
        pytest.param('= "help"', "= help", ["not TOML", "line 2"], id="not TOML"),
    ],
)
def test_what_is_wrong_with_routes(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    assert ROUTES.count(old) == 1
    with pytest.raises(PolicyError) as caught:
        read(tmp_path, routes=ROUTES.replace(old, new))
    for part in [str(tmp_path / "routes.toml"), *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        pytest.param('= "vip"', '= "v i p"', ["rules[0].name"], id="a rule's name"),
        pytest.param('e = "human"\n[', 'e = "x"\n[', ["guards", "wants_human", "'x'", "help, human"], id="route"),
        pytest.param('when = "context.vip"\n', "", ["rules", "vip", "keywords, when, or both"], id="no condition"),
        pytest.param("confidence = 0.7", "confidence = 7", ["rules[0].confidence", "<= 1"], id="out of range"),
        pytest.param("confidence", "confidnce", ["rules[0]", "confidnce", "confidence"], id="an unknown key"),
        pytest.param(
            "confidence = 0.7",
            '[[rules]]\nname = "vip"\nwhen = "true"\nroute = "help"',
            ["rules", "number 2", "vip", "taken"],
            id="twice",
        ),
        pytest.param(
            '= ["real person"]',
            '= ["a"]\nconfidence = 0.9',
            ["guards[0]", "confidence", "name, route"],
            id="of a guard",
        ),
        pytest.param("[[guards]]", "[[guard]]", ["guard", "allowed: guards, rules"], id="an unknown table"),
    ],
)
def test_what_is_wrong_with_rules(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    assert RULES.count(old) == 1
    with pytest.raises(PolicyError) as caught:
        read(tmp_path, rules=RULES.replace(old, new))
    for part in [str(tmp_path / "rules.toml"), *parts]:
        assert part in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"routes\.toml: no such file; `takt init"):
        read_project(tmp_path / "routes.toml", tmp_path / "rules.toml")
    (tmp_path / "routes.toml").write_bytes(b"default = '\xff'")
    with pytest.raises(PolicyError, match=r"routes\.toml: can't be read"):
        read_project(tmp_path / "routes.toml", tmp_path / "rules.toml")


def test_utterances_of_routes_and_files(tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("text,route\nwhere is it,help\n", encoding="utf-8")
    texts = [(row.text, row.route) for row in read_utterances(read(tmp_path))]
    assert texts == [("let me talk to someone", "human"), ("where is it", "help")]


def test_an_utterance_of_an_unknown_route(tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("text,route\nwhere is it,help\nwhat,x\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"more\.csv, row 3: route 'x' is not in .*routes\.toml"):
        read_utterances(read(tmp_path))
