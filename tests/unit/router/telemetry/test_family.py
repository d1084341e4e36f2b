from __future__ import annotations

import pytest

from router.telemetry.family import CounterFamily, HistogramFamily, Label, ReadingFamily


def test_a_child_is_the_same_object_each_time() -> None:
    family = CounterFamily("takt_x_total", "x", Label("kind"))
    child = family.child("a")
    child.inc()
    child.inc(2)
    assert family.child("a") is child
    assert child.value == 3
    assert family.folded_total == 0


def test_an_undeclared_value_is_other_and_counted() -> None:
    family = CounterFamily("takt_x_total", "x", Label("rung", ("small",)), Label("point"))
    family.child("huge", "p").inc()
    family.child("small", "p").inc()
    assert set(family.children) == {("other", "p"), ("small", "p")}
    assert family.folded_total == 1


def test_above_the_bound_all_share_one_child() -> None:
    family = CounterFamily("takt_x_total", "x", Label("id"), max_children=2)
    for number in range(1_000):
        family.child(str(number)).inc()
    assert {key: child.value for key, child in family.children.items()} == {
        ("0",): 1,
        ("1",): 1,
        ("other",): 998,
    }
    assert family.folded_total == 998


def test_children_that_exist_stay_reachable_above_the_bound() -> None:
    family = CounterFamily("takt_x_total", "x", Label("id"), max_children=1)
    first = family.child("first")
    family.child("second")
    assert family.child("first") is first


def test_the_number_of_labels_is_checked() -> None:
    family = CounterFamily("takt_x_total", "x", Label("a"), Label("b"))
    with pytest.raises(ValueError, match=r"takt_x_total has the labels \(a, b\)"):
        family.child("only one")


def test_a_later_watch_replaces_the_source() -> None:
    reading = ReadingFamily("gauge", "takt_x", "x").child()
    assert reading.read is None
    reading.watch(lambda: 1.0)
    reading.watch(lambda: 2.0)
    assert reading.read is not None
    assert reading.read() == 2.0


def test_histogram_children_have_the_edges_of_their_family() -> None:
    family = HistogramFamily("takt_x_seconds", "x", Label("stage"), edges_ns=(1, 2))
    assert family.child("a").edges == (1, 2)
    assert family.child("a") is not family.child("b")
