"""When a queue is open, by its business hours in a time zone.

A span runs from the first time the wall clock shows its beginning to the last time it shows its end: an hour that the
clock repeats belongs to the span whole; what falls into an hour that it skips happens at the skip.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import count, takewhile
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.assign.policy import HoursPolicy

_DAYS: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...]
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN = 24 * 60
_S = 1_000_000_000
_NEVER_NS = 1 << 62
_SPAN = re.compile(r"([01]\d|2[0-4]):([0-5]\d)\s*-\s*([01]\d|2[0-4]):([0-5]\d)")
# The rules of time zones further off are guesses.
_YEARS = range(2000, 2200)

Minutes = tuple[tuple[int, int], ...]
"""Spans of a day in minutes of its wall clock, ascending, apart from each other."""


class Calendar:
    """Reads time-zone data when it is made, nothing later. A call costs next to nothing until the next change.

    Raises:
        ValueError: a key of `hours` can't be; the message names it and says what is allowed.
    """

    def __init__(self, hours: HoursPolicy) -> None:
        self._zone = _zone(hours.timezone)
        self._week = tuple(_day(f"week.{day}", hours.week.get(day, ())) for day in _DAYS)
        self._closed = sorted({_closed(f"closed[{at}]", text) for at, text in enumerate(hours.closed)})
        # What was found out last holds from `_since_ns` until `_until_ns`.
        self._is_open = False
        self._since_ns = self._until_ns = 0

    def is_open(self, now_ns: int) -> bool:
        if not self._since_ns <= now_ns < self._until_ns:
            self._look(now_ns)
        return self._is_open

    def next_change_ns(self, now_ns: int) -> int | None:
        """When it opens or closes next, after now; None: never."""
        if not self._since_ns <= now_ns < self._until_ns:
            self._look(now_ns)
        return None if self._until_ns == _NEVER_NS else self._until_ns

    def _look(self, now_ns: int) -> None:
        today = datetime.fromtimestamp(now_ns // _S, self._zone).date()
        if all(day == ((0, _DAY_MIN),) for day in self._week) and today not in self._closed:
            closed = next((day for day in self._closed if day > today), None)
            self._is_open, until_ns = True, None if closed is None else self._instant_ns(closed, 0)
        else:
            self._is_open, until_ns = self._scan(now_ns, today)
        self._since_ns, self._until_ns = now_ns, _NEVER_NS if until_ns is None else until_ns

    def _scan(self, now_ns: int, today: date) -> tuple[bool, int | None]:
        """Whether it is open, and until when that stays so, by a walk through the spans from yesterday on."""
        end_ns: int | None = None
        for first_ns, last_ns in self._spans(today):
            if last_ns <= max(now_ns, first_ns):  # over, or skipped by the clock
                continue
            if first_ns > (now_ns if end_ns is None else end_ns):
                return (False, first_ns) if end_ns is None else (True, end_ns)
            end_ns = last_ns if end_ns is None else max(end_ns, last_ns)
        return end_ns is not None, end_ns

    def _spans(self, today: date) -> Iterator[tuple[int, int]]:
        """From yesterday until all has repeated itself after the last closed date, by their beginnings."""
        last = max([today, *self._closed]) + timedelta(days=8)
        days = (today + timedelta(days=day) for day in count(-1))
        for day in takewhile(lambda day: day <= last, days):
            if day not in self._closed:
                for first_min, last_min in self._week[day.weekday()]:
                    # A day ends when the next one begins, also where the clock repeats midnight.
                    is_late = last_min < _DAY_MIN
                    yield self._instant_ns(day, first_min), self._instant_ns(day, last_min, is_late=is_late)

    def _instant_ns(self, day: date, minute: int, *, is_late: bool = False) -> int:
        """When the wall clock shows it; where it does so twice the first time, or (`is_late`) the second."""
        wall = datetime.combine(
            day + timedelta(days=minute // _DAY_MIN), time(minute % _DAY_MIN // 60, minute % 60), self._zone
        )
        first_s, second_s = int(wall.timestamp()), int(wall.replace(fold=1).timestamp())
        if first_s <= second_s:
            return (second_s if is_late else first_s) * _S
        # Skipped: the two guesses lie around the skip, on whose sides the offset from UTC differs.
        low_s, high_s, before = second_s, first_s, self._offset(second_s)
        while high_s - low_s > 1:
            middle_s = (low_s + high_s) // 2
            low_s, high_s = (middle_s, high_s) if self._offset(middle_s) == before else (low_s, middle_s)
        return high_s * _S

    def _offset(self, at_s: int) -> timedelta | None:
        return datetime.fromtimestamp(at_s, self._zone).utcoffset()


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        if not available_timezones():
            raise ValueError(
                f"timezone: {name!r} can't be looked up, for this machine has no time-zone data: "
                "install the package tzdata (of the system, or from PyPI)"
            ) from error
        raise ValueError(f'timezone: {name!r} is no IANA time zone; allowed are "UTC", "Europe/Berlin" …') from error


def _day(key: str, spans: tuple[str, ...]) -> Minutes:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(_span(f"{key}[{at}]", text) for at, text in enumerate(spans)):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return tuple(merged)


def _span(key: str, text: str) -> tuple[int, int]:
    if (match := _SPAN.fullmatch(text.strip())) is not None:
        hour, minute, last_hour, last_minute = map(int, match.groups())
        first, last = hour * 60 + minute, last_hour * 60 + last_minute
        if first < last <= _DAY_MIN:
            return first, last
    raise ValueError(
        f'{key}: {text!r} is no span; allowed is "08:00-18:00", the end after the beginning and at most 24:00 '
        '(beyond midnight: "22:00-24:00", and "00:00-06:00" for the next day)'
    )


def _closed(key: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.year not in _YEARS:
        raise ValueError(f'{key}: {text!r} is no date; allowed is "2026-12-25", from {_YEARS[0]} to {_YEARS[-1]}')
    return day
