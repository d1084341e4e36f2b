"""`takt check-history`: a run's directory and a log in, what is broken and where to look out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from budgets.clock import SystemClock
from loadtest.run import FaultRecord, open_run, save
from loadtest.sample import SAID
from router.commands.check_history import _granted_rank
from router.config import Settings
from router.domain.interaction import Criticality
from router.http.callers import CallerSettings
from router.http.settings import ServerSettings
from router.log import DecisionRecord, LogSettings, SqliteStore, base
from tests.cli_runs import takt
from tests.fabricated import MS, fabricate
from tests.http_project import write_project

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COUNT = 4
_METRICS = 'takt_requests_total{{point="interactions",rung="small",degraded="none",reason="model"}} {}\n'


def _decision_id(row: int, at_ns: int) -> str:
    return f"{at_ns:016x}{row:016x}"


class Made:
    """A project, its log and a run of four answers; what is changed in them is up to a test."""

    def __init__(self, folder: Path, **record: object) -> None:
        self.folder, self.wall_ns = folder, SystemClock().wall_ns() - 60_000 * MS
        write_project(folder, None)
        run = fabricate(
            folder / "run", [2 * MS] * COUNT, rung="small", origin_wall_ns=self.wall_ns, labels=("transfer",)
        )
        save(run.path, msgspec.structs.replace(run.record, **record))
        self.samples = open_run(run.path, writable=True).samples
        self.samples["decision_high"], self.samples["decision_low"] = self.wall_ns, range(COUNT)
        self.samples["said"] = SAID.index("in-time")
        self.records = [self.decided(row) for row in range(COUNT)]

    def decided(self, row: int, **fields: object) -> DecisionRecord:
        known = {
            "decision_id": _decision_id(row, self.wall_ns),
            "interaction_id": f"0badcafe-{row:09d}",
            "at_ns": self.wall_ns + (10 * row + 1) * MS,
            "point": "interactions",
            "plan_version": "p1",
            "route": "transfer",
            "target_kind": "queue",
            "target_name": "desk",
            "rung": "small",
            "reason": "model",
            "total_ms": 50.0,
            "elapsed_ms": 1.0,
            "began_ns": 10 * row * MS + 1,
        }
        return DecisionRecord(**{**known, **fields})  # type: ignore[arg-type]

    def write(self, records: Sequence[DecisionRecord] | None = None) -> None:
        settings = LogSettings(path=str(self.folder / "var" / "takt.sqlite"))
        store = SqliteStore(settings, SystemClock())
        store.open()
        store.write(list(self.records if records is None else records))
        store.close()

    def count(self, before: int, after: int) -> None:
        for name, value in (("before", before), ("after", after)):
            (self.folder / "run" / f"metrics.{name}.txt").write_text(_METRICS.format(value), encoding="utf-8")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def check(capsys: pytest.CaptureFixture[str], made: Made, *more: object) -> tuple[int, str, str]:
    return takt(capsys, "check-history", made.folder / "run", "-c", made.folder / "takt.toml", *more)


def test_a_history_that_holds(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    made.write()
    made.count(100, 104)
    code, out, _ = check(capsys, made)
    assert code == 0, out
    assert "4 requests, 4 of them in the decision log" in out
    assert out.rstrip().splitlines()[-1].startswith("every rule holds; nothing in this history to judge I2, ")


def test_a_violation_is_told_with_the_command_that_shows_it(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    made.records[2] = made.decided(2, total_ms=9_000.0)
    made.write()
    code, out, _ = check(capsys, made)
    assert code == 1
    assert "granted 9000 ms: 50 were stated, 5000 are the most" in out
    assert f"takt explain {_decision_id(2, made.wall_ns)} -c" in out
    assert out.rstrip().endswith("broken: I14")


def test_the_server_s_counts_are_read(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    made.write()
    made.count(100, 105)
    code, out, _ = check(capsys, made)
    assert (code, "answers by small: clients counted 4, the server 5" in out) == (1, True)
    made.count(100, 3)
    code, out, _ = check(capsys, made)
    assert (code, "started anew" in out) == (0, True)


def test_as_json(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    made.write(made.records[1:])
    code, out, _ = check(capsys, made, "--json")
    found: dict[str, Any] = json.loads(out)
    assert (code, found["holds"], found["requests"], found["recorded"]) == (1, False, 4, 3)
    assert found["findings"][0]["violations"][0]["id"] == "0badcafe-000000000"


def test_another_log(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    made.records[0] = made.decided(0, total_ms=9_000.0)
    made.write()
    elsewhere = made.folder / "elsewhere.sqlite"
    (made.folder / "var" / "takt.sqlite").rename(elsewhere)
    code, out, _ = check(capsys, made, "--log", elsewhere)
    assert (code, f"TAKT__LOG__PATH={elsewhere} takt explain " in out) == (1, True)


def test_decisions_of_other_times_are_left_alone(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    old = made.decided(0, decision_id="f" * 32, interaction_id="x", at_ns=made.wall_ns - 3_600_000 * MS)
    made.write([old, *made.records])
    code, out, _ = check(capsys, made, "--json")
    assert (code, json.loads(out)["foreign"]) == (0, 0)


def test_who_got_no_answer_while_connections_were_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, expected in (("proxy", 0), ("server", 1)):
        fault = FaultRecord(kind=kind, what="stall", begin_ns=0, end_ns=-1)
        made = Made(tmp_path / kind, faults=(fault,))
        made.samples["status"][3], made.samples["said"][3], made.samples["rung"][3] = -2, 0, 0
        made.write()
        assert check(capsys, made)[0] == expected


@pytest.mark.parametrize(
    ("record", "words"),
    [({"merged_from": ("a", "b")}, "was merged"), ({"status": "planned"}, "was never finished")],
)
def test_runs_that_are_no_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], record: dict[str, object], words: str
) -> None:
    made = Made(tmp_path, **record)
    made.write()
    code, _, err = check(capsys, made)
    assert (code, words in err) == (2, True)


def test_the_log_of_another_server(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    made.write([msgspec.structs.replace(each, interaction_id="x") for each in made.records])
    code, _, err = check(capsys, made)
    assert (code, "holds no decision" in err) == (2, True)


def test_no_run_and_no_log(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(capsys, made)[0] == 2
    assert takt(capsys, "check-history", tmp_path / "none", "-c", made.folder / "takt.toml").code == 2


@pytest.mark.parametrize(
    ("headers", "rank"),
    [({}, 2), ({"authorization": f"Bearer {'k' * 16}"}, 1), ({"Authorization": "Bearer of-nobody"}, 0)],
)
def test_who_was_refused_counts_as_critical_as_he_may_be(headers: dict[str, str], rank: int) -> None:
    caller = CallerSettings(key="k" * 16, most_critical=Criticality.CRITICAL)
    server = ServerSettings(most_critical=Criticality.SHEDDABLE_PLUS)
    assert _granted_rank(Settings(server=server, callers={"shop": caller}), headers) == rank


def test_a_clock_that_was_set_back_hides_no_record(
    made: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_MANY", 3)
    long_ago = [made.decided(row, at_ns=1, decision_id=str(row), interaction_id=f"other-{row}") for row in (7, 8)]
    made.write([*made.records, *long_ago])
    assert check(capsys, made)[0] == 0
