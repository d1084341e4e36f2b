from __future__ import annotations

import sys
import zoneinfo
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import pytest

from router.assign.hours import Calendar
from router.assign.policy import HoursPolicy

Week = dict[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], tuple[str, ...]]
OFFICE = ("08:00-12:00", "13:00-18:00")
WORKDAYS = HoursPolicy(
    timezone="Europe/Berlin",
    week={"mon": OFFICE, "tue": OFFICE, "wed": OFFICE, "thu": OFFICE, "fri": ("08:00-15:30",)},
    closed=("2026-12-24", "2026-12-25"),
)


def ns(text: str, zone: str = "Europe/Berlin", fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()) * 10**9


def changes(hours: HoursPolicy, start_ns: int, most: int) -> list[int]:
    """The next changes, each asked of a calendar that remembers nothing and of one that remembers all."""
    told: list[int] = []
    at, kept = start_ns, Calendar(hours)
    while len(told) < most and (change := Calendar(hours).next_change_ns(at)) is not None:
        assert kept.next_change_ns(at) == change
        assert kept.is_open(change - 1) != kept.is_open(change)
        told.append(change)
        at = change
    return told


@pytest.mark.parametrize(
    ("now", "is_open", "change"),
    [
        ("2026-11-23T07:59:59", False, "2026-11-23T08:00"),
        ("2026-11-23T08:00", True, "2026-11-23T12:00"),
        ("2026-11-23T12:00", False, "2026-11-23T13:00"),
        ("2026-11-27T15:30", False, "2026-11-30T08:00"),  # over the weekend
        ("2026-12-23T18:00", False, "2026-12-28T08:00"),  # over two closed dates and the weekend
        ("2026-12-24T10:00", False, "2026-12-28T08:00"),
    ],
)
def test_a_week(now: str, is_open: bool, change: str) -> None:
    calendar = Calendar(WORKDAYS)
    assert calendar.is_open(ns(now)) is is_open
    assert calendar.next_change_ns(ns(now)) == ns(change)


def test_what_was_asked_before_does_not_matter() -> None:
    calendar = Calendar(WORKDAYS)
    assert calendar.is_open(ns("2026-11-24T09:00"))
    assert not calendar.is_open(ns("2026-11-24T12:30"))
    assert calendar.is_open(ns("2026-11-23T09:00"))


def test_spans_that_meet_at_midnight_are_one() -> None:
    hours = HoursPolicy(timezone="Europe/Berlin", week={"fri": ("22:00-24:00",), "sat": ("00:00-02:00",)})
    assert changes(hours, ns("2026-11-27T12:00"), 2) == [ns("2026-11-27T22:00"), ns("2026-11-28T02:00")]


def test_always_and_never() -> None:
    day = "12:00-24:00", "00:00-13:00"
    week: Week = {"mon": day, "tue": day, "wed": day, "thu": day, "fri": day, "sat": day, "sun": day}
    always = Calendar(HoursPolicy(week=week))
    assert (always.is_open(0), always.next_change_ns(0)) == (True, None)
    never = Calendar(HoursPolicy(week={"mon": ()}))
    assert (never.is_open(0), never.next_change_ns(0)) == (False, None)
    holiday = HoursPolicy(timezone="Europe/Berlin", week=week, closed=("2027-01-01", "2099-05-01"))
    assert changes(holiday, ns("2026-11-27T12:00"), 9) == [
        ns(text) for text in ("2027-01-01T00:00", "2027-01-02T00:00", "2099-05-01T00:00", "2099-05-02T00:00")
    ]


def test_an_hour_that_the_clock_skips() -> None:
    # 2027-03-28 02:00 CET is 03:00 CEST.
    skip = ns("2027-03-28T03:00")
    into = HoursPolicy(timezone="Europe/Berlin", week={"sun": ("02:30-05:00",)})
    assert changes(into, ns("2027-03-27T12:00"), 2) == [skip, ns("2027-03-28T05:00")]
    until = HoursPolicy(timezone="Europe/Berlin", week={"sun": ("01:00-02:30",)})
    assert changes(until, ns("2027-03-27T12:00"), 2) == [ns("2027-03-28T01:00"), skip]
    within = HoursPolicy(timezone="Europe/Berlin", week={"sun": ("02:10-02:50",)})
    assert changes(within, ns("2027-03-27T12:00"), 1) == [ns("2027-04-04T02:10")]


def test_an_hour_that_the_clock_repeats() -> None:
    # 2026-10-25 03:00 CEST is 02:00 CET.
    start = ns("2026-10-24T12:00")
    hours = HoursPolicy(timezone="Europe/Berlin", week={"sun": ("01:00-02:30",)})
    assert changes(hours, start, 2) == [ns("2026-10-25T01:00"), ns("2026-10-25T02:30", fold=1)]
    hours = HoursPolicy(timezone="Europe/Berlin", week={"sun": ("02:30-04:00",)})
    assert changes(hours, start, 2) == [ns("2026-10-25T02:30"), ns("2026-10-25T04:00")]
    # A break that lies in the hour is no break: one of its two is always worked.
    hours = HoursPolicy(timezone="Europe/Berlin", week={"sun": ("00:00-02:15", "02:30-04:00")})
    assert changes(hours, start, 2) == [ns("2026-10-25T00:00"), ns("2026-10-25T04:00")]


def test_a_clock_that_changes_at_midnight() -> None:
    # Havana: 2026-03-08 00:00 is 01:00; 2026-11-01 01:00 is 00:00.
    hours = HoursPolicy(timezone="America/Havana", week={"sat": ("20:00-24:00",), "sun": ("00:00-03:00",)})
    spring = changes(hours, ns("2026-03-07T12:00", "America/Havana"), 2)
    assert spring == [ns("2026-03-07T20:00", "America/Havana"), ns("2026-03-08T03:00", "America/Havana")]
    assert spring[1] - spring[0] == 6 * 3600 * 10**9
    autumn = changes(hours, ns("2026-10-31T12:00", "America/Havana"), 2)
    assert autumn[1] - autumn[0] == 8 * 3600 * 10**9
    closed = HoursPolicy(timezone="America/Havana", week={"sat": ("20:00-24:00",)})
    assert changes(closed, ns("2026-10-31T12:00", "America/Havana"), 2)[1] == ns("2026-11-01T00:00", "America/Havana")


@pytest.mark.parametrize(
    ("hours", "key"),
    [
        (HoursPolicy(timezone="Europe/Berlyn"), "timezone: 'Europe/Berlyn'"),
        (HoursPolicy(timezone="../etc/passwd"), "timezone: "),
        (HoursPolicy(timezone="Europe"), "timezone: 'Europe'"),
        (HoursPolicy(timezone=""), "timezone: ''"),
        (HoursPolicy(week={"mon": ("08:00-12:00", "18:00-08:00")}), r"week.mon\[1\]: '18:00-08:00'"),
        (HoursPolicy(week={"tue": ("08:00-24:01",)}), r"week.tue\[0\]"),
        (HoursPolicy(week={"tue": ("8-12",)}), r"week.tue\[0\]: '8-12' is no span; allowed is"),
        (HoursPolicy(week={"sun": ("08:00-08:00",)}), r"week.sun\[0\]"),
        (HoursPolicy(closed=("2026-12-25", "25.12.2026")), r"closed\[1\]: '25.12.2026'"),
        (HoursPolicy(closed=("2026-02-29",)), r"closed\[0\]"),
        (HoursPolicy(closed=("9999-12-31",)), r"closed\[0\]"),
    ],
)
def test_what_cannot_be_is_named(hours: HoursPolicy, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        Calendar(hours)


def test_without_time_zone_data_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {"tzdata", "tzdata.zoneinfo", *(each for each in sys.modules if each.startswith("tzdata."))}:
        monkeypatch.setitem(sys.modules, name, None)
    ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=[])
    try:
        assert Calendar(HoursPolicy(week={"thu": ("00:00-01:00",)})).is_open(0)  # UTC needs none
        with pytest.raises(ValueError, match="install the package tzdata"):
            Calendar(WORKDAYS)
    finally:
        zoneinfo.reset_tzpath()
        ZoneInfo.clear_cache()
