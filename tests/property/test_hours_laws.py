"""Business hours against the plainest definition: the wall clock shows a time that lies in a span of its day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.assign.hours import Calendar
from router.assign.policy import HoursPolicy

S = 1_000_000_000
DAYS: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu")


def text(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@st.composite
def spans(draw: st.DrawFn) -> tuple[str, ...]:
    edges = draw(st.lists(st.integers(0, 96).map(lambda quarter: quarter * 15), max_size=6, unique=True))
    pairs = zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False)
    return tuple(f"{text(first)}-{text(last)}" for first, last in pairs)


@st.composite
def policies(draw: st.DrawFn) -> HoursPolicy:
    closed = draw(st.lists(st.integers(0, 400), max_size=5))
    return HoursPolicy(
        timezone=draw(st.sampled_from(ZONES)),
        week={day: draw(spans()) for day in DAYS},
        closed=tuple((datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat() for day in closed),
    )


def is_open(hours: HoursPolicy, at_s: int) -> bool:
    wall = datetime.fromtimestamp(at_s, ZoneInfo(hours.timezone))
    shown = wall.strftime("%H:%M")
    of_day = hours.week.get(DAYS[wall.weekday()], ())
    return wall.date().isoformat() not in hours.closed and any(
        first <= shown < last for first, last in (span.split("-") for span in of_day)
    )


def is_shown_twice(hours: HoursPolicy, at_s: int) -> bool:
    """Times that the clock shows twice belong to a span as a whole; unit tests have those."""
    wall = datetime.fromtimestamp(at_s, ZoneInfo(hours.timezone))
    return wall.replace(fold=0).utcoffset() != wall.replace(fold=1).utcoffset()


times = st.integers(0, 420 * 1440).map(lambda minute: 1_767_225_600 + minute * 60)


@settings(deadline=None)
@given(policies(), times)
def test_it_is_open_when_the_clock_says_so(hours: HoursPolicy, at_s: int) -> None:
    assume(not is_shown_twice(hours, at_s))
    assert Calendar(hours).is_open(at_s * S) == is_open(hours, at_s)


@settings(deadline=None)
@given(policies(), times)
def test_nothing_changes_before_the_next_change(hours: HoursPolicy, at_s: int) -> None:
    calendar = Calendar(hours)
    now, change_ns = calendar.is_open(at_s * S), calendar.next_change_ns(at_s * S)
    end_s = at_s + 9 * 86_400 if change_ns is None else change_ns // S
    fresh = Calendar(hours)
    for probe_s in range(at_s, min(end_s, at_s + 30 * 86_400), 900 * 7):
        assert fresh.is_open(probe_s * S) == now
        assert is_shown_twice(hours, probe_s) or is_open(hours, probe_s) == now
    if change_ns is not None:
        assert Calendar(hours).is_open(change_ns - 1) == now
        assert Calendar(hours).is_open(change_ns) != now
