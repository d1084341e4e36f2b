"""Accepts that race over HTTP and WebSocket from several processes: small counts of tests/bench/assign_races.py."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.bench.assign_races import Accepted, Seen, judge, race
from tests.bench.assign_server import MOST, read_journal

if TYPE_CHECKING:
    from pathlib import Path

ACCEPTS = int(os.environ.get("TAKT_RACES", "2000"))


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_nobody_is_told_twice_and_nobody_holds_too_much(tmp_path: Path) -> None:
    verdict, seen, server = race(tmp_path, ACCEPTS)
    assert not verdict.double
    assert not verdict.over
    assert not [text for each in seen for text in each.strange]
    assert verdict.accepts >= ACCEPTS // 2, "there was no race"
    assert 1 < verdict.most_held <= MOST
    journal = read_journal(server.folder)
    assert not journal.broken
    assert journal.is_equal


def test_the_judge_sees_what_is_wrong() -> None:
    """Two owners; a fourth task at the same time; and neither where one ends before the next begins."""
    twice = Seen(accepted=[Accepted("t", 0, "a", 5), Accepted("t", 0, "b", 6)])
    assert judge([twice]).double
    four = Seen(accepted=[Accepted(f"t{number}", 0, "a", 10 + number) for number in range(MOST + 1)])
    assert judge([four]).over
    in_time = Seen(accepted=four.accepted, let_go=[("t0", 12)])
    assert not judge([in_time]).over
    assert not judge([in_time]).double
