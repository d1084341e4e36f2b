"""Faults of a scenario as events in time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import ScenarioError
from loadtest.fault.timeline import Event, describe, timeline
from loadtest.quantity import Ns, S
from loadtest.scenario.spec import FaultSpec


def fault(at_s: float, for_s: float, kind: str = "server", **what: Any) -> FaultSpec:
    return FaultSpec(at=Ns(round(at_s * S)), for_=Ns(round(for_s * S)), kind=kind, set=what)  # type: ignore[arg-type]


def test_a_fault_begins_and_ends() -> None:
    assert timeline([fault(1, 2, large={"delay_ms": 80})]) == (
        Event(1 * S, "server", {"large": {"delay_ms": 80}}, begun=(0,)),
        Event(3 * S, "server", None, ended=(0,)),
    )


def test_overlapping_faults_are_merged_and_the_later_one_wins() -> None:
    events = timeline(
        [
            fault(2, 2, large={"delay_ms": 9}, store={"down": True}),
            fault(1, 2, large={"delay_ms": 1, "error_share": 0.5}),
        ]
    )
    assert [(event.at_ns // S, event.state) for event in events] == [
        (1, {"large": {"delay_ms": 1, "error_share": 0.5}}),
        (2, {"large": {"delay_ms": 9, "error_share": 0.5}, "store": {"down": True}}),
        (3, {"large": {"delay_ms": 9}, "store": {"down": True}}),
        (4, None),
    ]


def test_faults_that_touch_leave_no_gap() -> None:
    events = timeline([fault(0, 1, "sigstop"), fault(1, 1, "sigstop")])
    assert events == (
        Event(0, "sigstop", {}, begun=(0,)),
        Event(1 * S, "sigstop", {}, begun=(1,), ended=(0,)),
        Event(2 * S, "sigstop", None, ended=(1,)),
    )


def test_kinds_do_not_touch_each_other() -> None:
    events = timeline([fault(0, 2, store={"down": True}), fault(1, 2, "proxy", stall=True)])
    assert [(event.kind, event.state) for event in events] == [
        ("server", {"store": {"down": True}}),
        ("proxy", {"stall": True}),
        ("server", None),
        ("proxy", None),
    ]


def test_what_a_fault_is_in_a_line() -> None:
    assert describe(fault(0, 1, large={"delay_ms": 80}, store={"down": True})) == "large.delay_ms=80 store.down=True"
    assert describe(fault(0, 1, "sigstop")) == "frozen"


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        (fault(-1, 1, store={}), "faults[1].at"),
        (fault(0, 0, store={}), "faults[1].for"),
        (fault(0, 1, "sigstop", stall=True), "faults[1].set"),
        (fault(0, 1, "proxy"), "faults[1].set"),
    ],
)
def test_a_fault_that_cannot_be_is_named(wrong: FaultSpec, key: str) -> None:
    with pytest.raises(ScenarioError, match=key.replace("[", r"\[").replace("]", r"\]")):
        timeline([fault(0, 1, "sigstop"), wrong])


_FAULTS = st.lists(
    st.builds(
        fault,
        st.integers(0, 5),
        st.integers(1, 5),
        st.just("server"),
        large=st.fixed_dictionaries({"delay_ms": st.integers(1, 9)}),
    ),
    max_size=6,
)


@given(_FAULTS)
def test_each_fault_begins_and_ends_once_and_nothing_is_left_broken(faults: list[FaultSpec]) -> None:
    events = timeline(faults)
    begun = [at for event in events for at in event.begun]
    ended = [at for event in events for at in event.ended]
    assert sorted(begun) == sorted(ended) == list(range(len(faults)))
    assert not events or events[-1].state is None
    for event in events:
        active = {at for at, each in enumerate(faults) if each.at <= event.at_ns < each.at + each.for_}
        assert (event.state is None) == (not active)
