"""Writes down what happens to each request, as it happens, into the run's shared memory.

Whatever has been written stays when the worker is killed, and the parent reads along for its live view.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from loadtest.answer import Answer, read_answer, read_code
from loadtest.sample import (
    ANSWERED,
    ANSWERED_AT,
    BAD_ANSWER,
    DEGRADED,
    NEVER,
    REASONS,
    RUNGS,
    SAID,
    SAMPLE,
    STAGES,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_NS_TIME = struct.Struct("<q")
_SENT_AT = SAMPLE.fields["sent_ns"][1]  # type: ignore[index] # it has fields
_ROW_BYTES = SAMPLE.itemsize
_NO_STAGES = (0,) * len(STAGES)
_DECISION_CHARS = 32
MAX_ROUTES = 4_096
_MOST_CHARS = 256  # of a route's name: a server's answers may name anything
OTHER_ROUTE = "(other)"
_OK = 200


class Recorder:
    """One per worker; its rows are its own. Cost: about 0.5 us a request, and 4 us for an answer that is read.

    Args:
        samples: sample.SAMPLE[n], writable and contiguous.
        now_ns: the monotonic clock.
        routes: names that are known beforehand; more are learned.
        reads_answers: whether a 200 must be one of Takt's.
    """

    __slots__ = (
        "_memory",
        "_now_ns",
        "_reads_answers",
        "_route_numbers",
        "answered_total",
        "failed_total",
        "origin_ns",
        "paced_total",
        "routes",
        "sent_total",
    )

    def __init__(
        self, samples: np.ndarray, now_ns: Callable[[], int], routes: Iterable[str] = (), *, reads_answers: bool = True
    ) -> None:
        self._memory = memoryview(samples.view(np.uint8).reshape(-1).data)
        self._now_ns = now_ns
        self._reads_answers = reads_answers
        self.routes = list(routes)
        self._route_numbers = {name: number for number, name in enumerate(self.routes)}
        self.origin_ns = 0
        self.paced_total = self.sent_total = self.answered_total = self.failed_total = 0

    @property
    def events_total(self) -> int:
        """Everything that was written down so far: unchanged means that nothing happened."""
        return self.paced_total + self.sent_total + self.answered_total + self.failed_total

    def now_ns(self) -> int:
        """From the start of the run."""
        return self._now_ns() - self.origin_ns

    def paced(self, row: int) -> None:
        """The pacer has handed over a request."""
        self.paced_total += 1
        _NS_TIME.pack_into(self._memory, row * _ROW_BYTES, self.now_ns())

    def sent(self, row: int) -> None:
        """A request is being written to a connection."""
        self.sent_total += 1
        _NS_TIME.pack_into(self._memory, row * _ROW_BYTES + _SENT_AT, self.now_ns())

    def failed(self, row: int, error: int) -> None:
        """A request ended without an HTTP answer, now. Args: error: RESET, GAVE_UP, BAD_HTTP of sample.py."""
        self.failed_total += 1
        self._write(row, (NEVER, self.now_ns(), 0, 0, NEVER, *_NO_STAGES, error, NEVER, 0, 0, 0, 0))

    def answered(self, row: int, first_ns: int, done_ns: int, status: int, body: bytes) -> None:
        """An HTTP answer is there. Times from the start of the run."""
        answer, code = None, ""
        if not self._reads_answers:
            pass
        elif status != _OK:
            code = read_code(body)
        elif (answer := read_answer(body)) is None:
            status = BAD_ANSWER
        self.decided(row, first_ns, done_ns, status, answer, code)

    def decided(
        self, row: int, first_ns: int, done_ns: int, status: int, answer: Answer | None, code: str = ""
    ) -> None:
        """An answer that needs no reading, or none. Args: code: why there is none."""
        self.answered_total += 1
        if answer is None:
            said = _number(_SAID_NUMBERS, code)
            self._write(row, (first_ns, done_ns, 0, 0, NEVER, *_NO_STAGES, status, NEVER, 0, 0, 0, said))
            return
        high, low = _halves(answer.decision_id)
        stages_ms = answer.budget.stages_ms
        self._write(
            row,
            (
                first_ns,
                done_ns,
                high,
                low,
                _us(answer.budget.elapsed_ms),
                *[_us(stages_ms.get(stage, 0.0)) for stage in STAGES],
                status,
                self._route(answer.route or answer.action),
                _number(_RUNG_NUMBERS, answer.rung),
                _number(_DEGRADED_NUMBERS, answer.degraded),
                _number(_REASON_NUMBERS, answer.reason),
                _LATE if answer.budget.late else _IN_TIME,
            ),
        )

    def _write(self, row: int, values: tuple[int, ...]) -> None:
        ANSWERED.pack_into(self._memory, row * _ROW_BYTES + ANSWERED_AT, *values)

    def _route(self, name: str) -> int:
        """Its number; the table is bounded."""
        number = self._route_numbers.get(name)
        if number is None:
            if len(self.routes) >= MAX_ROUTES or len(name) > _MOST_CHARS:
                name = OTHER_ROUTE
                if name in self._route_numbers:
                    return self._route_numbers[name]
            number = self._route_numbers[name] = len(self.routes)
            self.routes.append(name)
        return number


def _numbers(words: tuple[str, ...]) -> dict[str, int]:
    return {word: number for number, word in enumerate(words)}


_RUNG_NUMBERS, _DEGRADED_NUMBERS, _REASON_NUMBERS = _numbers(RUNGS), _numbers(DEGRADED), _numbers(REASONS)
_SAID_NUMBERS = _numbers(SAID)
_IN_TIME, _LATE = SAID.index("in-time"), SAID.index("late")


def _number(numbers: dict[str, int], word: str) -> int:
    return numbers.get(word, len(numbers) - 1)  # the last one is `other`


_MOST_US = 2**31 - 1


def _us(ms: float) -> int:
    """Milliseconds as microseconds that fit; what is no time becomes NEVER, for a server may claim anything."""
    return round(ms * 1e3) if 0 <= ms * 1e3 <= _MOST_US else NEVER


def _halves(decision_id: str) -> tuple[int, int]:
    """An id of 32 hexadecimal digits as two numbers; any other: zeros."""
    if len(decision_id) != _DECISION_CHARS:
        return 0, 0
    try:
        number = int(decision_id, 16)
    except ValueError:
        return 0, 0
    return (number >> 64, number & 0xFFFF_FFFF_FFFF_FFFF) if number >= 0 else (0, 0)
