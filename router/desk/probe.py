"""A look at the invariants while the engine works, at so few of its steps that it costs next to nothing."""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

from router.assign.invariant import check_touched

if TYPE_CHECKING:
    from router.assign.engine import Stepped
    from router.assign.state import State

_LOGGER = logging.getLogger("takt.assign")
_EVERY = 16
"""Steps to a look."""
_MOST = 8
"""Subjects of a look: some 10 us each."""


class Probe:
    """Counts what must not be. Safety: one event loop."""

    def __init__(self) -> None:
        self.violations_total = 0
        self._told: set[str] = set()

    def look(self, state: State, stepped: Stepped) -> None:
        """Look at what a step has touched, if it is the turn of that step; tells the first violation of each kind."""
        if stepped.position % _EVERY:
            return
        subjects = {event.subject: None for event in islice(stepped.events, _MOST)}
        for found in check_touched(state, subjects):
            self.violations_total += 1
            if found.invariant not in self._told:
                self._told.add(found.invariant)
                _LOGGER.error("invariant_violated", extra={**found._asdict(), "position": stepped.position})
