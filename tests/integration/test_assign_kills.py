"""kill -9 under load of commands: small counts of tests/bench/assign_kills.py."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.bench.assign_kills import crash

if TYPE_CHECKING:
    from pathlib import Path

KILLS = int(os.environ.get("TAKT_KILLS", "4"))


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_what_was_acknowledged_outlives_every_kill(tmp_path: Path) -> None:
    known, _, journal = crash(tmp_path, KILLS, seed=1)
    assert not known.wrong
    assert not journal
    assert known.created, "nothing was under way"
    assert known.owners
