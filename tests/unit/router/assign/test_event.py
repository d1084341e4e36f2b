"""The list of events is what the engine tells, and what the page says."""

from __future__ import annotations

import re
from pathlib import Path

from router import assign
from router.assign.event import TYPES
from router.assign.transition import OfferState
from tests.assignment_page import PAGE

KINDS = "task|offer|resource|queue|policy|engine"
SOURCES = [path for path in Path(assign.__file__).parent.glob("*.py") if path.name != "event.py"]
CAUSES = ("queued", "overflowed", "postponed", "requeued", "transferred", "escalated")
"""Why a task comes into a line: the event is named after it."""


def test_all_that_is_told_is_listed_and_nothing_else() -> None:
    told = {each for path in SOURCES for each in re.findall(rf'"((?:{KINDS})\.[a-z_]+)"', path.read_text("utf-8"))}
    told |= {f"offer.{state.value}" for state in OfferState if state is not OfferState.PENDING}
    told |= {f"task.{cause}" for cause in CAUSES}
    assert told == set(TYPES)


def test_the_page_has_all_of_them() -> None:
    table = PAGE.read_text("utf-8").partition("\n## Events\n")[2].partition("\n## ")[0]
    named: set[str] = set()
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        names = re.findall(r"`([a-z_.]+)`", row)
        kind = names[0].partition(".")[0]
        named |= {f"{kind}{name}" if name.startswith(".") else name for name in names}
    assert named == set(TYPES)
