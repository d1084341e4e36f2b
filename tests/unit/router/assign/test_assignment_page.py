"""docs/agent-assignment.md is what the engine's tables and structs say."""

from __future__ import annotations

import re

import pytest

from router.assign.transition import TASK
from tests.assignment_page import PAGE, draw, renewed


def test_the_page_is_made_from_the_code() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == renewed(written), "renew it: python -m tests.assignment_page"


def test_a_diagram_has_every_move_of_its_table() -> None:
    source = draw(TASK, ("queued",))
    for (state, move), target in TASK.items():
        found = re.search(rf"^    {state.value} --> {target.value}: (.*)$", source, re.MULTILINE)
        assert found is not None
        assert move.value in found[1].split(", ")


def test_a_page_without_a_place_for_a_diagram_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for diagram task"):
        renewed("# Nothing")
