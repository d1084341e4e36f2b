"""`takt train`, `evaluate`, `route`, `explain`, and what `check` and `serve` say of models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest
from msgspec.structs import replace

import models.train
from models import store
from models.errors import QualityRefused
from models.spec import read_manifest, write_manifest
from router.cli import main
from router.commands import explain, train
from router.log import DecisionRecord, Match
from tests.audit_records import without_large
from tests.cli_runs import edit, takt
from tests.encoders import write_encoder

TEXT = "tracking says my parcel is still at the depot"  # an utterance of the template


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of `takt init`, trained once."""
    folder = tmp_path_factory.mktemp("cli") / "shop"
    assert main(["init", str(folder)]) == 0
    assert main(["train", "-c", str(folder / "takt.toml")]) == 0
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    folder = tmp_path / "shop"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def fresh(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without models."""
    folder = tmp_path / "fresh"
    assert takt(capsys, "init", folder).code == 0
    monkeypatch.chdir(folder)
    return folder


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _active(project: Path) -> Path:
    return store.resolve(project / "models").path


def _instead(monkeypatch: pytest.MonkeyPatch, outcome: BaseException) -> None:
    """Let training write half of its files and then end."""

    def stop(examples: object, out_dir: Path, **_: object) -> NoReturn:
        (out_dir / "small.onnx").write_bytes(b"half")
        raise outcome

    monkeypatch.setattr(models.train, "train", stop)


def test_training_writes_what_serves(trained: Path) -> None:
    folder = _active(trained)
    manifest = read_manifest(folder)
    assert folder == trained / "models" / manifest.plan_version
    assert manifest.labels == ("account", "invoices", "order_status", "returns")
    assert (manifest.rows, manifest.seed) == (48, 0)
    assert {path.name for path in (trained / "models").iterdir()} == {folder.name, "active.json"}
    assert f"# Models {folder.name}" in (folder / "card.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("project")
def test_training_prints_a_table_and_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    done = takt(capsys, "train", "--seed", "3")
    assert done.code == 0
    columns = done.out.splitlines()[0].split()
    assert columns == ["rung", "accuracy", "ECE", "threshold", "keeps", "right", "kB", "p50", "us", "p99", "us"]
    assert done.out.splitlines()[1].startswith("small")
    left_out, wrote, report, following = done.out.splitlines()[-4:]
    assert left_out.startswith("Note: no rung `large`: no pretrained encoder was found; pip install")
    assert report.startswith(f"Report: models/{_active(Path()).name}/report.html. Model card: models/")
    assert wrote == f"Wrote models/{_active(Path()).name}: 4 labels, learned from 48 utterances."
    assert following == "Next: takt serve"
    assert "train small ..." in done.err


@pytest.mark.parametrize(
    ("outcome", "code"), [(QualityRefused("int8 loses 3 points"), 1), (KeyboardInterrupt(), 130), (OSError("full"), 2)]
)
def test_a_training_that_fails_leaves_the_models_alone(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    outcome: BaseException,
    code: int,
) -> None:
    before = _contents(project / "models")
    _instead(monkeypatch, outcome)
    done = takt(capsys, "train")
    assert (done.code, done.out) == (code, "")
    assert str(outcome) in done.err
    assert _contents(project / "models") == before


def test_a_training_that_fails_leaves_no_empty_directory(
    fresh: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _instead(monkeypatch, QualityRefused("no"))
    assert takt(capsys, "train").code == 1
    assert not (fresh / "models").exists()


def test_training_keeps_other_files_of_its_directory(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "models" / "README").write_text("mine", encoding="utf-8")
    assert takt(capsys, "train").code == 0
    assert (project / "models" / "README").read_text(encoding="utf-8") == "mine"


def test_any_csv_can_be_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{word} {number},{word}\n" for word in ("tea", "coal") for number in range(8))
    data, out = tmp_path / "train.csv", tmp_path / "out" / "models"
    data.write_text(f"query,intent\n{rows}", encoding="utf-8")
    columns = ("--text-column", "query", "--route-column", "intent")
    done = takt(capsys, "train", "--utterances", data, *columns, "--out", out)
    assert done.code == 0
    assert read_manifest(store.resolve(out).path).labels == ("coal", "tea")
    assert "Next" not in done.out  # no project to serve


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--accurate",), "--accurate: there is no encoder to tune; pip install --no-deps"),
        (("--encoder", "nowhere"), "nowhere/config.json: cannot be read"),
        (("--text-column", "query"), "are for --utterances"),
        (("--utterances", "own.csv"), "--out DIR is needed"),
        (("--utterances", "own.csv", "-c", "takt.toml"), "own.csv: greetings not in"),
        (("--utterances", "none.csv", "--out", "x"), "none.csv: cannot be read"),
        (("--utterances", "own.csv", "--out", "x", "--text-column", "query"), "no column 'query'"),
        (("--out", "takt.toml"), "--out takt.toml: cannot be written"),
    ],
)
def test_training_says_what_it_cannot_do(
    fresh: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], says: str
) -> None:
    (fresh / "own.csv").write_text("text,route\nhello,greetings\nwhere is it,order_status\nhm,oos\n", encoding="utf-8")
    done = takt(capsys, "train", *argv)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert sorted(file.name for file in fresh.iterdir()) == [
        "own.csv",
        "queues.toml",
        "routes.toml",
        "rules.toml",
        "takt.toml",
    ]


@pytest.mark.usefixtures("fresh")
def test_training_names_the_extra_it_needs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "find_spec", lambda name: None if name == "onnx" else object())
    done = takt(capsys, "train")
    assert done.code == 2
    assert "training needs onnx, not installed: pip install 'takt[train]'" in done.err


class Asked(NamedTuple):
    """What training was asked for; it went no further."""

    options: dict[str, Any]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    seen = Asked({})

    def stop(*_: object, **options: object) -> NoReturn:
        seen.options.update(options)
        raise QualityRefused("seen enough")

    monkeypatch.setattr(models.train, "train", stop)
    return seen


def test_training_takes_encoder_and_kept_accuracy_from_the_project(
    fresh: Path, capsys: pytest.CaptureFixture[str], asked: Asked
) -> None:
    write_encoder(fresh / "weights" / "tiny")
    settings = '[models]\nencoder = "weights/tiny"\nkept_accuracy = 0.9\n'
    (fresh / "takt.toml").write_text(settings, encoding="utf-8")
    assert takt(capsys, "train").err == "takt train: seen enough\n"
    assert asked.options["encoder"].name == "tiny"
    assert (asked.options["kept_accuracy"], asked.options["accurate"]) == (0.9, False)
    assert ["encoder", "weights/tiny", "tiny"] in [line.split() for line in takt(capsys, "check").out.splitlines()]


def test_training_takes_them_from_the_command_line_first(
    fresh: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> None:
    write_encoder(fresh / "other")
    (fresh / "takt.toml").write_text('[models]\nencoder = "nowhere"\nkept_accuracy = 0.9\n', encoding="utf-8")
    options = ("--encoder", "other", "--kept-accuracy", "0.99", "--accurate")
    monkeypatch.setattr(train, "find_spec", lambda _: object())
    assert takt(capsys, "train", *options).code == 1
    assert asked.options["encoder"].name == "other"
    assert (asked.options["kept_accuracy"], asked.options["accurate"]) == (0.99, True)
    monkeypatch.setattr(train, "find_spec", lambda name: None if name == "torch" else object())
    done = takt(capsys, "train", *options)
    assert (done.code, done.out) == (2, "")
    assert "--accurate needs torch, which is not installed" in done.err
    done = takt(capsys, "check")
    assert done.code == 2
    assert "nowhere/config.json: cannot be read" in done.err


def test_a_provider_that_is_not_there_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "takt.toml").write_text('[models]\nproviders = ["NoSuchProvider"]\n', encoding="utf-8")
    for command in (("check",), ("route", TEXT), ("serve", "--port", "0"), ("models", "activate", "a")):
        done = takt(capsys, *command)
        assert done.code == 2
        assert "models.providers: the installed onnxruntime has no NoSuchProvider; it has " in done.err
        assert "CPUExecutionProvider" in done.err


@pytest.mark.usefixtures("project")
def test_evaluation_as_json_is_the_contract(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "test.csv").write_text(f"text,route\n{TEXT},order_status\nsing a song,oos\n", encoding="utf-8")
    done = takt(capsys, "evaluate", "--models", "models", "--data", "test.csv", "--json")
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    assert report["n"] == 2
    assert set(report["rungs"]["small"]) == {
        "accuracy", "auroc_oos", "ece", "accuracy_fp32", "p50_us", "p99_us", "bytes", "coverage90_accuracy",
    }  # fmt: skip
    assert report["rungs"]["small"]["accuracy"] == 1.0
    table = takt(capsys, "evaluate", "--models", "models", "--data", "test.csv").out.splitlines()
    assert table[1].split()[:2] == ["small", "100.00%"]
    assert table[-1] == "2 rows"


def test_evaluation_without_rows_out_of_scope_has_no_auroc(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "test.csv").write_text(f"q,r\n{TEXT},order_status\n", encoding="utf-8")
    columns = ("--text-column", "q", "--route-column", "r")
    done = takt(capsys, "evaluate", "--models", "models", "--data", "test.csv", *columns)
    assert done.code == 0
    assert "-" in done.out.splitlines()[1].split()


def test_evaluation_names_the_file_that_is_wrong(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "test.csv").write_text("text,route\nhello,greetings\n", encoding="utf-8")
    done = takt(capsys, "evaluate", "--models", "models", "--data", "test.csv")
    assert done.code == 2
    assert "test.csv: row 1: route 'greetings' is none of the 4" in done.err
    done = takt(capsys, "evaluate", "--models", "nowhere", "--data", "test.csv")
    assert done.code == 2
    assert "nowhere/manifest.json: not found; make one with `takt train" in done.err


def test_check_looks_into_the_models(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = takt(capsys, "check")
    assert done.out.endswith("\nAll is well.\n")
    assert "small; 4 labels\n" in done.out
    assert "none, so `small` is trained alone; pip install" in done.out
    edit(project / "routes.toml", "[routes.account]", "[routes.profile]")
    (_active(project) / "small.onnx").write_bytes(b"other")
    done = takt(capsys, "check")
    assert done.code == 2
    assert "small.onnx: sha256 is" in done.err
    assert f"models/{_active(project).name}: the models answer account, not in" in done.err
    assert "not trained on just the utterances as they are now" in done.err


def test_check_of_a_directory_without_a_manifest(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (_active(project) / "manifest.json").unlink()
    done = takt(capsys, "check")
    assert done.code == 2
    assert "models: no version" in done.err


@pytest.mark.usefixtures("project")
def test_a_decision_can_be_explained_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    done = takt(capsys, "route", TEXT, "--budget-ms", "500", "--json")
    assert (done.code, done.err) == (0, "")
    answer = json.loads(done.out)
    assert (answer["route"], answer["rung"], answer["reason"]) == ("order_status", "small", "model")
    assert answer["target"] == {"kind": "bot", "name": "order_bot"}
    assert answer["budget"]["total_ms"] == 500
    assert sum(answer["budget"]["stages_ms"].values()) == pytest.approx(answer["budget"]["elapsed_ms"], abs=0.01)
    record = json.loads(takt(capsys, "explain", answer["decision_id"], "--json").out)
    assert (record["decision_id"], record["text"]) == (answer["decision_id"], TEXT)
    told = takt(capsys, "explain", answer["decision_id"])
    assert told.code == 0
    assert TEXT in told.out
    assert "the small model" in told.out
    assert "infer" in told.out


@pytest.mark.parametrize(
    ("verdict", "dark", "says"),
    [("floor", False, "was withheld: see pressure"), ("floor", True, "ahead of it"), ("inline", False, "ahead of it")],
)
def test_what_the_overload_control_withheld_did_not_queue(verdict: str, dark: bool, says: str) -> None:
    told = dict(explain._facts(without_large("overload", verdict=verdict, dark=dark)))
    assert told["not large"].endswith(f"{says} [overload]")


@pytest.mark.usefixtures("project")
def test_a_guard_is_told_with_what_it_matched(capsys: pytest.CaptureFixture[str]) -> None:
    done = takt(capsys, "route", "give me a real person, \x1b[31mnow")
    assert done.code == 0
    assert done.out.startswith("human_agent -> queue service\n")
    command = done.out.splitlines()[-1].partition("Why: takt ")[2]
    told = takt(capsys, *command.split())
    assert "a guard matched" in told.out
    assert "wants_human: keyword 'real person'" in told.out
    assert "\x1b" not in told.out


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("",), 2, "TEXT: expected `str` of length >= 1"),
        (("\udcff",), 2, "TEXT: is not valid UTF-8"),
        (("hello", "--budget-ms", "0"), 1, "the budget had run out"),
    ],
)
def test_a_text_that_gets_no_decision(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], code: int, says: str
) -> None:
    done = takt(capsys, "route", *argv)
    assert (done.code, done.out) == (code, "")
    assert says in done.err


def test_a_decision_is_made_though_it_cannot_be_logged(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "var").mkdir(exist_ok=True)
    (project / "var" / "takt.sqlite").write_text("no database, but a text of some length" * 100, encoding="utf-8")
    done = takt(capsys, "route", TEXT, "--budget-ms", "500", "--json")
    assert done.code == 0
    assert json.loads(done.out)["route"] == "order_status"
    assert done.err.startswith("not logged, so `takt explain` will not know this decision: log.path: ")


@pytest.mark.parametrize("command", [("route", TEXT), ("serve",)])
def test_without_models_the_command_that_makes_them(
    fresh: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    done = takt(capsys, *command)
    assert (done.code, done.out) == (2, "")
    assert f"takt {command[0]}: models: no models yet; train them with `takt train`\n" == done.err


def test_an_unknown_decision(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(project / "var", ignore_errors=True)
    done = takt(capsys, "explain", "1")
    assert done.code == 2
    assert "log.path" in done.err
    assert takt(capsys, "route", TEXT).code == 0
    done = takt(capsys, "explain", "1")
    assert (done.code, done.out) == (1, "")
    assert "takt explain: 1: not in" in done.err
    assert "log.retention_days = 30" in done.err


def _record(**changes: Any) -> DecisionRecord:
    facts: dict[str, Any] = {
        "decision_id": "d1",
        "interaction_id": "i1",
        "at_ns": 1_700_000_000_000_000_000,
        "point": "interactions",
        "plan_version": "p1",
        "route": "returns",
        "target_kind": "workflow",
        "target_name": "returns",
        "rung": "rules",
        "reason": "rule",
        "total_ms": 5.0,
        "elapsed_ms": 6.0,
    }
    return DecisionRecord(**{**facts, **changes})


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("budget", "not have answered within the budget"),
        ("overload", "requests ahead of it"),
        ("breaker", "circuit breaker"),
        ("error", "failed"),
        ("cold", "not loaded yet"),
        ("a newer word", "a newer word"),
    ],
)
def test_why_a_rung_was_not_used_in_words(why: str, words: str) -> None:
    facts = dict(explain._facts(_record(skipped=(("large", why),), degraded=why)))
    assert words in facts["not large"]


def test_a_late_decision_by_a_rule_whose_text_was_not_kept() -> None:
    record = _record(
        late=True, match=Match(name="return_words", why="keyword 'refund*'"), customer_id="c", session_id="s"
    )
    facts = dict(explain._facts(record))
    assert facts["text"] == "not kept (log.text)"
    assert "customer c, session s" in facts["from"]
    assert facts["decided by"] == "a fallback rule"
    assert facts["matched"] == "return_words: keyword 'refund*'"
    assert "too late" in facts["time"]
    assert "also seen" not in facts


def test_a_version_that_lost_a_rung_is_not_activated(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    active = _active(project)
    manifest = read_manifest(active)
    two = (*manifest.rungs, replace(manifest.rungs[0], name="large"))
    write_manifest(active, replace(manifest, rungs=two))
    run = takt(capsys, "train", "--seed", "1")
    assert run.code == 1
    assert "the active version has large, this one has not, so it is not activated" in run.err
    assert "Next: takt models activate" in run.out
    assert _active(project) == active
