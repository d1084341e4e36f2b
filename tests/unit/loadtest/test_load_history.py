"""The history of a run says of each request what its client saw, and nothing else."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from loadtest.command import history
from loadtest.errors import RunError
from loadtest.history import FORMAT, Head, History, Line
from loadtest.record import Recorder
from loadtest.run import open_run
from loadtest.sample import GAVE_UP, NEVER, SAID, empty
from tests.fabricated import MS, fabricate

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.run import Run

WALL_NS = 1_700_000_000_000_000_000
_PROBLEM = {"title": "Service Unavailable", "status": 503, "code": "rejected-overload", "detail": "…"}


def said(status: int, body: object, *, reads_answers: bool = True) -> tuple[int, str]:
    samples = empty(1)
    recorder = Recorder(samples, lambda: 0, reads_answers=reads_answers)
    recorder.answered(0, 1, 2, status, body if isinstance(body, bytes) else msgspec.json.encode(body))
    return int(samples["status"][0]), SAID[samples["said"][0]]


def answer(**budget: object) -> dict[str, object]:
    return {"rung": "small", "degraded": "none", "budget": {"elapsed_ms": 1.0, **budget}}


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (200, answer(), "in-time"),
        (200, answer(late=True), "late"),
        (503, _PROBLEM, "rejected-overload"),
        (504, {"code": "deadline-expired"}, "deadline-expired"),
        (503, {"code": "newer-than-this"}, "other"),
        (502, b"<html>", ""),
        (503, b"[" * 100_000, ""),
        (503, {"code": 7}, ""),
        (500, {}, ""),
    ],
)
def test_what_the_server_says_of_a_request_is_kept(status: int, body: object, word: str) -> None:
    assert said(status, body) == (status, word)


def test_where_any_answer_will_do_nothing_is_said() -> None:
    assert said(503, _PROBLEM, reads_answers=False) == (503, "")


def made(path: Path) -> Run:
    """A late answer, a refusal, a request that was given up, one that was never sent."""
    run = fabricate(
        path, [60 * MS, 1 * MS, 9 * MS, NEVER], status=[200, 503, GAVE_UP, 0], rung=["large", "", "", ""],
        degraded=["none", "", "", ""], rate=1_000, origin_wall_ns=WALL_NS, criticalities=("critical", "sheddable"),
    )  # fmt: skip
    samples = open_run(path, writable=True).samples
    samples["decision_high"], samples["decision_low"] = [0x1A2, 0, 0, 0], [0xB, 0, 0, 0]
    samples["said"] = [SAID.index(word) for word in ("late", "rejected-overload", "", "")]
    samples["server_us"] = [51_250, NEVER, NEVER, NEVER]
    samples["reason"], samples["route"] = [2, 0, 0, 0], [0, NEVER, NEVER, NEVER]
    samples["sent_ns"][3] = NEVER
    return run


def test_a_line_for_each_request(tmp_path: Path) -> None:
    late, refused, given_up, unsent = History(made(tmp_path / "run"))
    assert late == Line(
        id="0badcafe-000000000",
        at_ns=WALL_NS,
        intended_ns=0,
        sent_ns=25_000,
        answered_ns=60 * MS,
        phase="steady",
        budget_ms=50.0,
        channel="chat",
        outcome="late",
        status=200,
        rung="large",
        degraded="none",
        reason="model",
        route="cards",
        decision_id=f"{0x1A2:016x}{0xB:016x}",
        late=True,
        elapsed_ms=51.25,
    )
    assert (refused.outcome, refused.status, refused.dropped, refused.decision_id) == (
        "shed", 503, "rejected-overload", "",
    )  # fmt: skip
    assert (given_up.outcome, given_up.status, given_up.error) == ("unfinished", 0, "no answer in time")
    assert (unsent.outcome, unsent.sent_ns, unsent.answered_ns, unsent.late) == ("unsent", None, None, None)


def test_any_row_is_found_in_whatever_order(tmp_path: Path) -> None:
    whole = History(fabricate(tmp_path / "run", np.full(2_500, MS)))
    lines = list(whole)
    assert len(lines) == len(whole) == 2_500
    for row in (2_499, 0, 1_024, 1_023, 2_048):
        assert whole[row] == lines[row]
        assert lines[row].id == f"0badcafe-{row:09d}"
    with pytest.raises(IndexError):
        whole[2_500]


def test_the_file_says_first_what_it_is(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    out = tmp_path / "history.jsonl"
    assert history.run(Namespace(run=run.path, out=out)) == 0
    head, *lines = out.read_bytes().splitlines()
    assert msgspec.json.decode(head, type=Head) == Head(
        format=FORMAT, run="0badcafe", at_ns=WALL_NS, status="complete", requests=4
    )
    assert [msgspec.json.decode(each, type=Line) for each in lines] == list(History(run))
    assert b'"rung"' not in lines[1]  # what is not known is left out


def test_without_a_file_it_goes_to_stdout(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    run = made(tmp_path / "run")
    assert history.run(Namespace(run=run.path, out=None)) == 0
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == b"".join(History(run).json_lines())


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    with pytest.raises(RunError, match="cannot be written"):
        history.run(Namespace(run=run.path, out=tmp_path / "no" / "file"))
