"""`takt models import`: a classifier that Takt did not train becomes a rung and answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from models import store
from models.spec import read_manifest
from router.cli import main
from tests.cli_runs import takt
from tests.graphs import text_graph

ROUTES = ("account", "invoices", "order_status", "returns")
WORDS = ("what of my parcel", "what of my bill", "let me in", "take it back")
RIGHT = ("order_status", "invoices", "account", "returns")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of `takt init`, trained once."""
    folder = tmp_path_factory.mktemp("import") / "shop"
    assert main(["init", str(folder)]) == 0
    assert main(["train", "-c", str(folder / "takt.toml")]) == 0
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in, with a graph and rows for it."""
    folder = tmp_path / "shop"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    write_graph(folder)
    lines = [f"{text},{route}\n" for text, route in zip(WORDS, RIGHT, strict=True)] * 10
    (folder / "own.csv").write_text("text,route\n" + "".join(lines), encoding="utf-8")
    return folder


def write_graph(folder: Path, right: tuple[str, ...] = RIGHT) -> None:
    """One that reads `text` and gives probabilities of ROUTES."""
    table = np.full((len(WORDS) + 1, len(ROUTES)), 0.02, np.float32)
    table[-1] = 1 / len(ROUTES)
    for number, route in enumerate(right):
        table[number, ROUTES.index(route)] = 0.94
    (folder / "own.onnx").write_bytes(text_graph(table, WORDS))


IMPORT = ("models", "import", "own.onnx", "--output", "probabilities", "--data", "own.csv")


def test_a_graph_of_ones_own_answers(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = store.resolve(project / "models").id
    done = takt(capsys, *IMPORT)
    assert (done.code, done.err) == (0, "")
    version = store.resolve(project / "models")
    assert version.id != first
    table = {line.split()[0]: line.split() for line in done.out.splitlines()[1:3]}
    assert table["large"][1:2] == ["100.00%"]
    assert "small" in table
    assert "Note: rung `large` was made elsewhere; its figures are of 40 rows that were given with it" in done.out
    assert f"{version.id} is active; before: {first}" in done.out
    answer = json.loads(takt(capsys, "route", "What of  my BILL", "--budget-ms", "500", "--json").out)
    assert (answer["route"], answer["rung"], answer["reason"]) == ("invoices", "large", "model")
    assert "rung `large` was made elsewhere" in (version.path / "card.md").read_text(encoding="utf-8")
    assert takt(capsys, "check").code == 0
    report = json.loads(takt(capsys, "evaluate", "--models", "models", "--data", "own.csv", "--json").out)
    assert (report["rungs"]["large"]["accuracy"], report["rungs"]["large"]["accuracy_fp32"]) == (1.0, None)
    scored = takt(capsys, "evaluate", "--models", "models", "--data", "own.csv").out.splitlines()
    assert scored[2].split()[:3] == ["large", "100.00%", "-"]
    assert takt(capsys, "models", "list").out.count("made elsewhere") == 1


def test_it_may_be_added_only(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = store.resolve(project / "models").id
    done = takt(capsys, *IMPORT, "--no-activate")
    assert done.code == 0
    assert store.resolve(project / "models").id == first
    command = done.out.splitlines()[-1].partition("Next: takt ")[2].split()
    assert takt(capsys, *command).code == 0
    assert len(read_manifest(store.resolve(project / "models").path).rungs) == 2


def test_what_is_worse_than_what_serves_is_added_and_not_activated(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert takt(capsys, *IMPORT).code == 0
    serving, number = store.resolve(project / "models").id, len(store.versions(project / "models"))
    write_graph(project, right=("order_status", "invoices", "account", "account"))
    done = takt(capsys, *IMPORT)
    assert done.code == 1
    assert (
        "is not activated: large: right on 75.0% of 40 canary texts, large of the active version on 100.0%" in done.err
    )
    assert store.resolve(project / "models").id == serving
    assert len(store.versions(project / "models")) == number + 1


def test_labels_may_be_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(project / "models")
    done = takt(capsys, *IMPORT)
    assert (done.code, done.out) == (2, "")
    assert "own.onnx: its labels are not known: no version of models has any; name a file of them, --labels" in done.err
    assert not (project / "models").exists()
    Path("labels.txt").write_text("\n".join(ROUTES) + "\n\n", encoding="utf-8")
    assert takt(capsys, *IMPORT, "--labels", "labels.txt").code == 0
    manifest = read_manifest(store.resolve(project / "models").path)
    assert (manifest.labels, [rung.name for rung in manifest.rungs]) == (ROUTES, ["large"])


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("account\nfamous\n", "--labels labels.txt: famous not in"),
        ("account\naccount\n", "two labels or more are needed, one a line, each once"),
        ("", "two labels or more are needed"),
        ("account\ninvoices\n", "own.csv: the graph has no label for order_status, returns; leave these rows out"),
        ("returns\norder_status\ninvoices\naccount\noos\n", "own.onnx: answers 4 labels"),
    ],
)
def test_labels_that_do_not_fit(capsys: pytest.CaptureFixture[str], labels: str, says: str) -> None:
    Path("labels.txt").write_text(labels, encoding="utf-8")
    done = takt(capsys, *IMPORT, "--labels", "labels.txt")
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_a_graph_that_cannot_be_used_adds_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name for path in (project / "models").iterdir()}
    write_graph(project, right=RIGHT[::-1])
    done = takt(capsys, *IMPORT)
    assert (done.code, done.out) == (1, "")
    assert "large: right on 0.0 % of 40 held-out rows" in done.err
    done = takt(capsys, *IMPORT[:2], "nowhere.onnx", *IMPORT[3:])
    assert (done.code, done.out) == (2, "")
    assert "nowhere.onnx: cannot be read" in done.err
    assert {path.name for path in (project / "models").iterdir()} == before
