"""Payloads: what is read from files, what is refused, and what comes with Takt."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import pytest

from loadtest.errors import ScenarioError
from loadtest.payload import Payload, load_payloads, read_payloads, write_payloads
from loadtest.scenario.shipped import UTTERANCES
from loadtest.scenario.spec import PayloadSpec
from router.policy.project import read_project

BANK = Path(__file__).resolve().parents[3] / "examples" / "bank"


def load(folder: Path, content: str, name: str = "texts.csv", **fields: object) -> tuple[Payload, ...]:
    (folder / name).write_text(content, encoding="utf-8")
    return load_payloads(PayloadSpec(from_=str(folder / name), **fields))  # type: ignore[arg-type]


def test_a_csv_gives_its_texts_and_labels(tmp_path: Path) -> None:
    found = load(tmp_path, 'id,text,route\n1,"hello, you",greeting\n2,Grüß Gott,\n\n')
    assert found == (Payload({"text": "hello, you"}, "greeting"), Payload({"text": "Grüß Gott"}, None))


def test_columns_have_the_names_they_are_given(tmp_path: Path) -> None:
    assert load(tmp_path, "q,a\nhi,x\n", text_column="q", label="a") == (Payload({"text": "hi"}, "x"),)


def test_a_file_without_the_usual_label_has_none(tmp_path: Path) -> None:
    assert load(tmp_path, "text\nhi\n") == (Payload({"text": "hi"}),)
    assert load(tmp_path, "text,route\nhi,x\n", label=None) == (Payload({"text": "hi"}),)


def test_jsonl_objects_are_sent_as_they_are_without_their_label(tmp_path: Path) -> None:
    content = '{"text": "hi", "route": "x", "context": {"vip": true}}\n\n{"text": "ho", "channel": "voice"}\n'
    assert load(tmp_path, content, "texts.jsonl") == (
        Payload({"text": "hi", "context": {"vip": True}}, "x"),
        Payload({"text": "ho", "channel": "voice"}, None),
    )
    assert load(tmp_path, content, "texts.jsonl", label=None)[0].body["route"] == "x"


@pytest.mark.parametrize(
    ("name", "content", "fields", "says"),
    [
        ("t.txt", "hi\n", {}, "neither a .csv nor a .jsonl"),
        ("t.csv", "", {}, "no column 'text'"),
        ("t.csv", "text\n", {}, "has no row"),
        ("t.csv", "message\nhi\n", {}, "no column 'text' (payload.text_column); there are message"),
        ("t.csv", "text,route\nhi\n", {}, "line 2: has 1 cells, not 2"),
        ("t.csv", "text,route\nhi,x\n ,x\n", {}, "line 3: text is empty"),
        ("t.csv", 'text\n"hi', {}, "is no .csv file"),
        ("t.csv", "text\nhi\n", {"label": "intent"}, "no row has payload.label 'intent'"),
        ("t.csv", f"text\n{'x' * 65_536}\n", {}, "line 2: is 65,547 bytes long; at most 65,536"),
        ("t.csv", "text\n" + "hi\n" * 200_001, {}, "more than 200,000 rows"),
        ("t.jsonl", '{"text": "hi"}\n[1]\n', {}, "line 2: is no JSON object"),
        ("t.jsonl", "{", {}, "line 1: is no JSON object"),
        ("t.jsonl", "\n", {}, "has no row"),
        ("t.jsonl", '{"text": "hi", "budget_ms": 5}\n', {}, "line 1: budget_ms is the scenario's"),
        ("t.jsonl", '{"text": "hi", "route": 5}\n', {}, "line 1: route is no text"),
        ("t.jsonl", '{"text": "hi"}\n', {"label": "intent"}, "no row has payload.label 'intent'"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    tmp_path: Path, name: str, content: str, fields: dict[str, object], says: str
) -> None:
    with pytest.raises(ScenarioError) as error:
        load(tmp_path, content, name, **fields)
    assert str(tmp_path / name) in str(error.value)
    assert says in str(error.value)


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"payload\.from: .*none\.csv: No such file"):
        load_payloads(PayloadSpec(from_=str(tmp_path / "none.csv")))
    (tmp_path / "latin.csv").write_bytes(b"text\n\xe4\n")
    with pytest.raises(ScenarioError, match="in UTF-8"):
        load_payloads(PayloadSpec(from_=str(tmp_path / "latin.csv")))


def test_payloads_of_a_run_are_read_back(tmp_path: Path) -> None:
    payloads = load_payloads(PayloadSpec())
    write_payloads(tmp_path / "payloads.jsonl", payloads)
    assert read_payloads(tmp_path / "payloads.jsonl") == payloads


def test_the_sentences_that_come_with_takt_fit_the_bank_and_are_new_to_it() -> None:
    payloads = load_payloads(PayloadSpec())
    project = read_project(BANK / "routes.toml", BANK / "rules.toml")
    assert len(payloads) >= 120
    assert {payload.label for payload in payloads} <= set(project.routes.routes)
    assert len({payload.label for payload in payloads[:13]}) == 13  # none is in front for all who sample by rank
    texts = {payload.body["text"].casefold() for payload in payloads}
    assert len(texts) == len(payloads)
    for name in ("utterances.en.csv", "utterances.de.csv", "test.csv"):
        with (BANK / name).open(encoding="utf-8", newline="") as file:
            assert not texts & {row["text"].casefold() for row in csv.DictReader(file)}
    assert UTTERANCES.read_bytes().count(b"\n") == len(payloads) + 1


def test_a_payload_is_small_on_the_wire() -> None:
    assert max(len(msgspec.json.encode(payload.body)) for payload in load_payloads(PayloadSpec())) < 200


def test_labels_that_are_no_routes_are_refused(tmp_path: Path) -> None:
    """Each would be a route in every worker's table."""
    path = tmp_path / "t.csv"
    path.write_text("text,route\n" + "".join(f"a,{row}\n" for row in range(40_000)))
    with pytest.raises(ScenarioError, match="40,000 values, so it is no route"):
        load_payloads(PayloadSpec(from_=str(path)))
