"""`takt init` and `takt check`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router.commands.check import check
from router.config import Settings, load_config
from tests.cli_runs import edit, takt

if TYPE_CHECKING:
    from router.commands.check import Findings

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A fresh project; tests write into it what is wrong."""
    folder = tmp_path / "shop"
    assert takt(capsys, "init", folder).code == 0
    return folder


def _check(project: Path, **environment: str) -> Findings:
    return check(project / "takt.toml", environment)


def test_init_writes_a_project_that_is_well(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    done = takt(capsys, "check")
    assert (done.code, done.err) == (0, "")
    assert "48" in done.out
    assert done.out.endswith("none yet: takt train\nAll is well.\n")


def test_init_names_the_next_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = takt(capsys, "init", tmp_path / "my shop")
    assert done.code == 0
    steps = done.out.partition("Next:\n")[2].splitlines()
    assert steps[0].strip() == f"cd '{tmp_path / 'my shop'}'"
    assert [step.split()[1] for step in steps[1:]] == ["check", "train", "route", "serve"]


def test_init_overwrites_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "takt.toml").unlink()
    (project / "rules.toml").write_text("mine", encoding="utf-8")
    done = takt(capsys, "init", project)
    assert done.code == 2
    assert "routes.toml, rules.toml, queues.toml would be overwritten" in done.err
    assert (project / "rules.toml").read_text(encoding="utf-8") == "mine"
    assert not (project / "takt.toml").exists()


def test_init_says_where_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    done = takt(capsys, "init", tmp_path / "file" / "shop")
    assert done.code == 2
    assert "choose another DIR" in done.err


def test_the_defaults_that_the_template_shows_are_the_defaults(project: Path) -> None:
    file = project / "takt.toml"
    shown = re.sub(r"^#(\w+ = )", r"\1", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert shown.count("\n#") < file.read_text(encoding="utf-8").count("\n#")
    file.write_text(shown, encoding="utf-8")
    assert load_config(file, {}).settings == Settings()


def test_check_finds_everything_that_is_wrong(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(project / "takt.toml", "port = 8080", "prot = 8080")
    edit(project / "takt.toml", "default_ms = 50", 'default_ms = "soon"')
    edit(project / "routes.toml", 'default = "human_agent"', 'utterances = ["a.csv", "b.csv"]\ndefault = "nobody"')
    edit(project / "rules.toml", "channel == ", "lane == ")
    edit(project / "rules.toml", '"real person"', '"!!!"')
    (project / "a.csv").write_text("text,route\nhello,greetings\n", encoding="utf-8")
    done = takt(capsys, "check", "-c", project / "takt.toml")
    assert done.code == 2
    for said in (
        "takt.toml: server: object contains unknown field `prot`; allowed: host, port",
        "takt.toml: budget.default_ms: expected `float`",
        "routes.toml: default = 'nobody' is not a route; the routes are account,",
        "rules.toml: [[guards]] vip_on_the_phone: when:",
        "rules.toml: [[guards]] wants_human: keywords: '!!!' has no letters",
        "a.csv, row 2: route 'greetings' is not in",
        "b.csv: cannot be read",
    ):
        assert said in done.err
    assert all(line.startswith("error: ") for line in done.err.splitlines())
    assert len(done.err.splitlines()) == 7


def test_check_finds_what_is_wrong_with_queues(project: Path) -> None:
    edit(project / "queues.toml", "[queues.service]", "[queues.servant]")
    edit(project / "queues.toml", "ewt_s > 600.0", "ewt > 600.0")
    edit(project / "rules.toml", 'when = \'channel == "phone"', 'when = \'queues.cards.free > 0 && channel == "phone"')
    findings = _check(project)
    for said in (
        "queues.toml: queues.billing.steps[2].queues: 'service' is not there; there are billing, servant",
        "queues.toml: queues.billing.overflow[0].queue: 'service' is not there",
        "queues.toml: queues.billing.overflow[0].when: `ewt > 600.0` names ewt; the variables are agents,",
        "routes.toml: routes.human_agent: target.name = 'service' is no queue; the queues are billing, servant",
        "rules.toml: [[guards]] vip_on_the_phone: when: `queues.cards.free > 0 &&",
    ):
        assert any(said in problem for problem in findings.problems), said
    assert len(findings.problems) == 5


def test_check_finds_a_condition_that_never_holds(project: Path) -> None:
    file = project / "queues.toml"
    edit(file, "ewt_s > 600.0", "is_open > 600.0")
    late = "\n[queues.late]\nsteps = [{ when = 'resource.tier > 1' }]\n"
    file.write_text(file.read_text(encoding="utf-8") + late, encoding="utf-8")
    first, second = _check(project).problems
    said = "`is_open > 600.0` does not go together: is_open is true or false"
    assert first == f"{file}: queues.billing.overflow[0].when: {said}"
    assert f"{file}: queues.late.steps[0].when: `resource.tier > 1` names resource.tier; the fields of" in second


def test_check_finds_adapters_whose_queues_are_not_there(project: Path) -> None:
    file = project / "takt.toml"
    adapter = '[adapters.rocketchat]\ntoken = "0123456789abcdef"\nqueue = "sales"\n'
    file.write_text(f"{file.read_text(encoding='utf-8')}{adapter}", encoding="utf-8")
    (problem,) = _check(project).problems
    assert problem.startswith(f"{file}: adapters.rocketchat.queue = 'sales': there is no such queue")


def test_check_of_a_project_without_queues(project: Path) -> None:
    (project / "queues.toml").unlink()
    findings = _check(project)
    assert findings.problems == []
    assert ("queues", "-", "none, so decisions create no tasks") in findings.rows
    edit(project / "takt.toml", 'queues = "queues.toml"', 'queues = "my.toml"')
    (problem,) = _check(project).problems
    assert "my.toml: no such file" in problem


def test_check_warns_of_webhooks_without_queues(project: Path) -> None:
    file, hook = project / "takt.toml", f'[webhooks.crm]\nurl = "https://crm.example"\nsecrets = ["{SECRET}"]\n'
    file.write_text(f"{file.read_text(encoding='utf-8')}{hook}", encoding="utf-8")
    before = _check(project)
    (project / "queues.toml").unlink()
    after = _check(project)
    assert (before.problems, after.problems) == ([], [])
    (warning,) = set(after.warnings) - set(before.warnings)
    for said in ("takt.toml: webhooks.crm: nothing is sent", "files.queues = 'queues.toml' is no file: write one"):
        assert said in warning


def test_check_says_a_file_that_is_not_toml_once(project: Path) -> None:
    (project / "rules.toml").write_text("[[guards]\n", encoding="utf-8")
    (problem,) = _check(project).problems
    assert "rules.toml: not TOML" in problem


@pytest.mark.parametrize("content", ["[server\n", None])
def test_check_of_settings_that_cannot_be_read(project: Path, content: str | None) -> None:
    file = project / "takt.toml"
    file.unlink() if content is None else file.write_text(content, encoding="utf-8")
    (problem,) = _check(project).problems
    assert problem.startswith(str(file))


def test_check_names_the_variable_that_is_wrong(project: Path) -> None:
    findings = _check(project, TAKT__SERVER__PORT="high", HOME="/")
    (problem,) = findings.problems
    assert "with TAKT__SERVER__PORT: server.port" in problem
    assert "routes" in {row[0] for row in findings.rows}


def test_check_tells_which_variables_apply(project: Path) -> None:
    findings = _check(project, TAKT__SERVER__PORT="9000")
    assert findings.problems == []
    assert findings.rows[0][2] == "TAKT__SERVER__PORT applied"


def test_check_warns_of_what_is_probably_meant_otherwise(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(
        project / "routes.toml",
        "# No utterances",
        '[routes.lost]\ntarget = { kind = "bot", name = "x" }\n'
        '[routes.rare]\ntarget = { kind = "bot", name = "x" }\nutterances = ["Reset my password  please"]\n# No',
    )
    done = takt(capsys, "check", "-c", project / "takt.toml")
    assert done.code == 0
    assert "routes.lost: nothing leads there" in done.err
    assert "routes.rare: has 1 utterance" in done.err
    assert "'reset my password please' stands under account and rare" in done.err
    assert len(done.err.splitlines()) == 3
    assert done.out.endswith("Nothing is wrong; see the warnings.\n")


def test_check_takes_texts_of_no_route_for_what_they_are(project: Path) -> None:
    (project / "others.csv").write_text("text,route\nwhat a nice day,oos\nsing me a song,oos\n", encoding="utf-8")
    routes = project / "routes.toml"
    routes.write_text(f'utterances = ["others.csv"]\n{routes.read_text(encoding="utf-8")}', encoding="utf-8")
    findings = _check(project)
    assert (findings.problems, findings.warnings) == ([], [])
    assert "2" in {row[2] for row in findings.rows}


def test_check_of_a_project_without_rules_or_utterances(tmp_path: Path) -> None:
    (tmp_path / "takt.toml").touch()
    (tmp_path / "routes.toml").write_text(
        'default = "a"\nunsure = "a"\n[routes.a]\ntarget = { kind = "bot", name = "a" }\n', encoding="utf-8"
    )
    (tmp_path / "rules.toml").touch()
    findings = _check(tmp_path)
    assert findings.problems == []
    assert "0 guards, 0 rules" in {row[2] for row in findings.rows}
    assert "none, so decisions create no tasks" in {row[2] for row in findings.rows}
    (warning,) = findings.warnings
    assert "0 routes have utterances" in warning


def test_many_duplicates_are_cut_short(project: Path) -> None:
    lines = "".join(f"text {number},{route}\n" for number in range(15) for route in ("returns", "account"))
    (project / "more.csv").write_text(f"text,route\n{lines}", encoding="utf-8")
    edit(project / "routes.toml", 'default = "human_agent"', 'utterances = ["more.csv"]\ndefault = "human_agent"')
    warnings = _check(project).warnings
    assert len(warnings) == 11
    assert warnings[-1].startswith("5 more utterances")


def test_the_example_is_well() -> None:
    folder = Path(__file__).parents[3] / "examples" / "bank"
    assert _check(folder).problems == []
