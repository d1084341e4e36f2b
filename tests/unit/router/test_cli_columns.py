"""Columns on the command line: `takt train`, `evaluate`, `check`, `explain`, and decisions that were put right."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING, NoReturn

import msgspec
import pytest

import models.train
from budgets.clock import SystemClock
from models import store
from models.columns import declared
from models.data import Example
from models.errors import QualityRefused
from models.spec import Manifest, read_manifest
from router.cli import main
from router.log import LogSettings, SqliteStore
from tests.cli_runs import edit, takt
from tests.context_task import COLUMNS, examples
from tests.log_records import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_ROWS = examples(150, 1)
ROUTES = """\
default = "desk"
unsure = "desk"
utterances = ["utterances.csv"]
[[columns]]
name = "channel"
[[columns]]
name = "context.cart_value"
kind = "number"
[routes]
""" + "".join(
    f'{name} = {{ target = {{ kind = "queue", name = "{name}" }} }}\n'
    for name in ("desk", "refund_senior", "refund_bot", "delivery", "delivery_desk", "login")
)


def write_rows(path: Path, rows: Iterable[Example]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("text", "route", *(column.name for column in COLUMNS)))
        table.writerows((row.text, row.route, *(row.values or ("", ""))) for row in rows)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with columns, trained once."""
    folder = tmp_path_factory.mktemp("columns") / "shop"
    assert main(["init", str(folder)]) == 0
    (folder / "routes.toml").write_text(ROUTES, encoding="utf-8")
    (folder / "rules.toml").write_text("", encoding="utf-8")
    (folder / "queues.toml").unlink()
    write_rows(folder / "utterances.csv", _ROWS)
    assert main(["train", "-c", str(folder / "takt.toml")]) == 0
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    folder = tmp_path / "shop"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    return folder


def _manifest(project: Path) -> Manifest:
    return read_manifest(store.resolve(project / "models").path)


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[Example]:
    """What training is given; it goes no further."""
    seen: list[Example] = []

    def train(rows: list[Example], *_: object, **__: object) -> NoReturn:
        seen.extend(rows)
        raise QualityRefused("seen enough")

    monkeypatch.setattr(models.train, "train", train)
    return seen


def _log(
    project: Path, *columns: tuple[tuple[str, str | float], ...], first: int = 1, text: str | None = "Geld zurück!"
) -> list[str]:
    """Log a decision for each; returns their ids."""
    log = SqliteStore(LogSettings(path=str(project / "var" / "takt.sqlite")), SystemClock())
    log.open()
    records = [
        msgspec.structs.replace(record(number), text=text, columns=known) for number, known in enumerate(columns, first)
    ]
    assert log.write(records) == 0
    log.close()
    return [each.decision_id for each in records]


def _labels(project: Path, rows: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"{decision_id},{route}\n" for decision_id, route in rows)
    (project / "right.csv").write_text(f"decision_id,route\n{lines}", encoding="utf-8")
    return "right.csv"


def test_a_project_with_columns_trains_and_is_well(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert declared(_manifest(project).columns) == COLUMNS
    done = takt(capsys, "check")
    assert (done.code, done.err) == (0, "")
    write_rows(project / "test.csv", examples(200, 7))
    report = json.loads(takt(capsys, "evaluate", "--models", "models", "--data", "test.csv", "--json").out)
    assert report["rungs"]["small"]["accuracy"] > 0.85


def test_evaluation_needs_the_columns_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "test.csv").write_text("text,route\nrefund my order,refund_bot\n", encoding="utf-8")
    done = takt(capsys, "evaluate", "--models", "models", "--data", "test.csv")
    assert done.code == 2
    assert "test.csv, line 1: no column 'channel'; there are: text, route" in done.err


def test_training_on_a_file_without_the_columns_names_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "own.csv").write_text("text,route,channel\nrefund my order,refund_bot,\n", encoding="utf-8")
    done = takt(capsys, "train", "-c", "takt.toml", "--utterances", "own.csv")
    assert (done.code, done.out) == (2, "")
    assert "own.csv, line 1: no column 'context.cart_value'" in done.err


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"channel"',
            '"hour"',
            ["don't know the columns hour (category)", "read the columns channel (category), not in"],
        ),
        ('kind = "number"', "", ["the columns context.cart_value (category)", "context.cart_value (number), not in"]),
        ('[[columns]]\nname = "channel"\n', "", ["the models read the columns channel (category), not in routes.toml"]),
    ],
)
def test_check_says_when_the_models_have_other_columns(
    project: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, says: list[str]
) -> None:
    edit(project / "routes.toml", old, new)
    edit(
        project / "utterances.csv", "text,route,channel", "text,route,hour" if new == '"hour"' else "text,route,channel"
    )
    done = takt(capsys, "check")
    assert done.code == 0
    for each in says:
        assert each in done.err


def test_the_same_words_under_two_routes_are_no_mistake_where_a_value_tells(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(project / "utterances.csv", [row._replace(text="refund") for row in examples(60, 1)])
    assert "stands under" not in takt(capsys, "check").err
    write_rows(project / "utterances.csv", [row._replace(text="refund", values=()) for row in examples(60, 1)])
    assert "the utterance 'refund' stands under" in takt(capsys, "check").err


def test_decisions_that_were_put_right_are_learned_from(
    project: Path, capsys: pytest.CaptureFixture[str], learned: list[Example]
) -> None:
    cart = ("context.cart_value", 7.5)
    ids = _log(project, (("channel", "mail"), cart, ("context.gone", "x")), (cart,), (("context.cart_value", "7"),))
    labels = _labels(project, [(each, "refund_bot") for each in ids])
    assert takt(capsys, "train", "--labels", labels).err == "takt train: seen enough\n"
    assert learned[:-3] == _ROWS
    assert learned[-3:] == [
        Example("Geld zurück!", "refund_bot", values) for values in (("mail", 7.5), (None, 7.5), (None, None))
    ]


def test_what_the_log_cannot_complete_is_counted(
    project: Path, capsys: pytest.CaptureFixture[str], learned: list[Example]
) -> None:
    (kept, dropped) = (*_log(project, ()), *_log(project, (), first=2, text=None))
    rows = [(kept, "login"), ("unknown", "login"), ("unheard", "login"), (dropped, "login")]
    done = takt(capsys, "train", "--labels", _labels(project, rows))
    told = "right.csv: of 4 decisions 3 are left out: 2 not in the log, 1 logged without their text (log.text)"
    assert told in done.err
    assert learned[len(_ROWS) :] == [Example("Geld zurück!", "login", (None, None))]


def test_labels_that_teach_nothing_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _manifest(project)
    (kept,) = _log(project, ())
    for rows, says in (
        ([("unknown", "login")], "right.csv: none of 1 decisions can be learned from: 1 not in the log"),
        ([(kept, "greetings")], "right.csv: greetings not in"),
        ([], "right.csv: no rows below the header"),
    ):
        done = takt(capsys, "train", "--labels", _labels(project, rows))
        assert (done.code, done.out) == (2, "")
        assert says in done.err
    done = takt(capsys, "train", "--utterances", "utterances.csv", "--out", "x", "--labels", "right.csv")
    assert (done.code, done.out) == (2, "")
    assert "--labels: the texts are in a project's log; name the project with -c" in done.err
    shutil.rmtree(project / "var")
    done = takt(capsys, "train", "--labels", _labels(project, [(kept, "login")]))
    assert done.code == 2
    assert "log.path" in done.err
    assert _manifest(project) == before


def test_a_decision_is_explained_with_what_was_known(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (decision_id,) = _log(project, (("channel", "phone"), ("context.cart_value", 80.0)))
    assert "channel phone, context.cart_value 80.0" in takt(capsys, "explain", decision_id).out
    made = json.loads(takt(capsys, "route", "refund my order", "--budget-ms", "500", "--json").out)
    logged = json.loads(takt(capsys, "explain", made["decision_id"], "--json").out)
    assert logged["columns"] == [["channel", "chat"]]
