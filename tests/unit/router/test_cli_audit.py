"""`takt audit` as people read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from budgets.clock import SystemClock
from router.commands import audit
from router.log import DecisionRecord, LogSettings, SqliteStore, base
from tests.audit_records import decision, facts, large, without_large
from tests.cli_runs import takt


class Write(Protocol):
    def __call__(self, *records: DecisionRecord, ago_s: float = ...) -> None: ...


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    assert takt(capsys, "init", ".").code == 0
    return tmp_path


@pytest.fixture
def write(project: Path) -> Write:
    """Write records to the project's log, seconds before now."""
    now_ns = SystemClock().wall_ns()

    def add(*records: DecisionRecord, ago_s: float = 1.0) -> None:
        store = SqliteStore(LogSettings(path=str(project / "var/takt.sqlite")), SystemClock())
        store.open()
        at_ns = now_ns - int(ago_s * 1e9)
        store.write(
            [
                msgspec.structs.replace(each, at_ns=at_ns, decision_id=f"{ago_s}-{number}")
                for number, each in enumerate(records)
            ]
        )
        store.close()

    return add


def test_no_log_yet(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = takt(capsys, "audit")
    assert done.code == 2
    assert "there is no such file; set log.path, or start the server once" in done.err


def test_an_empty_log_says_what_to_do(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write()
    done = takt(capsys, "audit")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{Path('var/takt.sqlite')}: no decisions yet\n")
    assert "takt loadtest run steady" in done.out
    assert json.loads(takt(capsys, "audit", "--json").out)["decisions"] == 0
    unknown = takt(capsys, "audit", "--slo", "0.9")
    assert (unknown.code, unknown.err) == (1, "takt audit: --slo 0.9 cannot be checked: no decisions\n")


def test_what_is_shown(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        *[large(number) for number in range(6)],
        *[without_large("overload", number, criticality="sheddable", verdict="inline") for number in range(3)],
        without_large("budget", verdict="floor", dark=True, point="orders"),
        decision(elapsed_ms=60.0, stages_ms={"loop": 59.0, "infer": 1.0}),
    )
    done = takt(capsys, "audit")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert ": 11 decisions, " in lines[0]
    for line in (
        "  in budget     90.909% (1 late)",
        "  degraded      36.4%: overload 27.3%, budget 9.1%",
        "  overload      kept from the executor 3; kept from every model 1 in the dark: not enforced",
        "  The executor's queue: 3 of the 5 late or degraded requests (60%) waited for a model behind others, or would",
    ):
        assert line in lines
    for title in (
        "Bottleneck",
        "What would have helped",
        "Where the time went",
        "Answered by",
        "By criticality",
        "By point",
    ):
        assert title in lines
    assert any(line.split()[:4] == ["large", "6", "0", "1.00"] for line in lines)
    assert "log.durability" not in done.out


def test_what_is_alike_is_not_split(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(large())
    out = takt(capsys, "audit").out
    assert "None: 100.00% were answered in time by the best rung." in out
    for absent in ("By point", "By criticality", "What would have helped", "of late", "of degraded"):
        assert absent not in out


def test_waiting_for_the_disk_is_said_to_be_left_out(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(large())
    monkeypatch.setenv("TAKT__LOG__DURABILITY", "commit")
    assert "encoding, and with log.durability = commit the disk" in " ".join(takt(capsys, "audit").out.split())


def test_json_is_the_struct(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(large(), without_large("budget", total_ms=8.5))
    found = json.loads(takt(capsys, "audit", "--json").out)
    assert (found["schema"], found["decisions"], found["in_budget_share"]) == ("audit/1", 2, 1.0)
    assert found["bottleneck"]["cause"] == "budget"
    assert {each["name"] for each in found["rungs"]} == {"large", "small"}
    assert found["what_ifs"][0]["helped_total"] == 1


def test_only_the_newest(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(*[without_large("overload")] * 5, ago_s=3_000)
    write(*[large()] * 4, ago_s=10)

    def count(*argv: str) -> object:
        return json.loads(takt(capsys, "audit", "--json", *argv).out)["decisions"]

    assert count() == 9
    assert count("--last", "3") == 3
    assert count("--since", "1m") == 4
    assert count("--since", "1h") == 9
    assert count("--since", "1s") == 0


def test_a_clock_that_was_set_back_hides_nothing(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_MANY", 3)
    write(*[large()] * 4, ago_s=10)
    write(*[large()] * 2, ago_s=4_000)
    assert json.loads(takt(capsys, "audit", "--json", "--since", "1m").out)["decisions"] == 4


def test_only_one_point(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(large(), large(1, point="orders"), large(2))
    found = json.loads(takt(capsys, "audit", "--json", "--point", "interactions", "--last", "2").out)
    assert (found["decisions"], [each["name"] for each in found["points"]]) == (2, ["interactions"])
    none = takt(capsys, "audit", "--point", "oders")
    assert none.code == 0
    assert "no decision of point 'oders' among those read; there are: interactions, orders" in none.out


@pytest.mark.parametrize(("slo", "code"), [("0.5", 0), ("0.75", 0), ("0.76", 1)])
def test_an_slo_decides_the_exit_code(write: Write, capsys: pytest.CaptureFixture[str], slo: str, code: int) -> None:
    write(*[large()] * 3, decision(elapsed_ms=60.0, stages_ms={"infer": 60.0}))
    done = takt(capsys, "audit", "--slo", slo)
    assert done.code == code
    assert done.out.startswith("var")
    assert done.err == ("" if code == 0 else "takt audit: 75.000% of 4 in budget, --slo asks for 76.000%\n")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--since", "1h", "--last", "5"], "not allowed with"),
        (["--since", "yesterday"], "'yesterday' is no duration"),
        (["--last", "0"], "'0' is not a whole number from 1 on"),
        (["--slo", "99.9"], "'99.9' is not a share from 0 to 1"),
    ],
)
def test_wrong_usage(project: Path, capsys: pytest.CaptureFixture[str], argv: list[str], says: str) -> None:
    done = takt(capsys, "audit", *argv)
    assert done.code == 2
    assert says in done.err


def test_a_record_cannot_steer_the_terminal(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J[red]"
    write(
        large(rung=evil, run=facts(rung=evil)),
        without_large("budget", point=evil, criticality=evil, verdict=evil, skipped=((evil, "budget"),), total_ms=3.0),
        without_large(evil, stages_ms={evil: 1.0}),
    )
    done = takt(capsys, "audit")
    assert done.code == 0
    assert "\x1b" not in done.out


def test_long_reads_say_how_far_they_are(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_TELL_EVERY", 2)
    write(*[large()] * 5)
    assert takt(capsys, "audit").err.splitlines() == ["2 decisions read ...", "4 decisions read ..."]
