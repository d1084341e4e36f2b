"""A history of a server in order holds, whatever came; and one thing changed in it is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.history.start import batch_of
from tests.histories import Arrival, Shop, broken, report

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.domain.decision import RunFacts
    from router.history import Entry

_ARRIVALS = st.lists(
    st.builds(
        Arrival,
        gap_ms=st.sampled_from([0.0, 0.5, 1.0, 3.0, 5.0, 20.0]),
        rank=st.integers(0, 3),
        budget_ms=st.sampled_from([0.5, 8.0, 12.0, 20.0, 50.0]),
        cost_ms=st.sampled_from([1.0, 4.0, 5.9, 9.0, 30.0]),
        wire_ms=st.sampled_from([0.0, 0.1, 40.0]),
        pause_ms=st.sampled_from([0.0, 0.0, 4.0]),
    ),
    min_size=1,
    max_size=120,
)
_SHOPS = st.builds(Shop, gives_way=st.lists(st.integers(1, 4), min_size=1, max_size=4), dark=st.booleans())


@given(_SHOPS, _ARRIVALS)
@settings(max_examples=200, deadline=None)
def test_what_a_server_in_order_leaves_behind_holds(shop: Shop, arrivals: list[Arrival]) -> None:
    lines, entries = shop.live(arrivals)
    assert broken(report(lines, entries, shop.counts())) == {}
    assert broken(report(lines, entries[::-1], shop.counts())) == {}


def _run(made: Entry, change: Callable[[RunFacts], dict[str, object]]) -> Entry | None:
    """None: there is no run that was started to change."""
    if made.run is None or made.run.start_ms is None:
        return None
    return msgspec.structs.replace(made, run=msgspec.structs.replace(made.run, **change(made.run)))


_CHANGES: dict[str, Callable[[Entry], Entry | None]] = {
    "I2": lambda made: _run(made, lambda run: {"latest_start_ms": (run.start_ms or 0) - 1}),
    "I4": lambda made: msgspec.structs.replace(made, late=not made.late),
    "I8": lambda made: _run(made, lambda _: {"start_ms": made.total_ms, "latest_start_ms": made.total_ms, "texts": 1}),
    "I9": lambda made: _run(made, lambda run: {"texts": 2, "commit_ms": (run.start_ms or 0) + run.predicted_ms - 1}),
    "I14": lambda made: msgspec.structs.replace(made, total_ms=1_001.0),
    "I15": lambda made: msgspec.structs.replace(made, verdict="floor", dark=False) if made.run is not None else None,
    "I1": lambda made: msgspec.structs.replace(made, decision_id="f" * 32),
}


@given(_SHOPS, _ARRIVALS, st.sampled_from(sorted(_CHANGES)), st.data())
@settings(max_examples=200, deadline=None)
def test_one_record_changed_is_found(shop: Shop, arrivals: list[Arrival], rule: str, data: st.DataObject) -> None:
    lines, entries = shop.live(arrivals)
    changed = [(at, new) for at, old in enumerate(entries) if (new := _CHANGES[rule](old)) is not None]
    assume(changed)
    at, new = data.draw(st.sampled_from(changed))
    entries[at] = new
    assert rule in broken(report(lines, entries))


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=20, max_size=60), st.data())
@settings(max_examples=100, deadline=None)
def test_a_turned_order_is_found(gaps_ms: list[float], data: st.DataObject) -> None:
    """The members of a batch that others waited for become less critical than those."""
    arrivals = [Arrival(gap_ms, 1, 50.0, 5.0, 0.1, 0.0) for gap_ms in gaps_ms]
    lines, entries = Shop([4]).live(arrivals)
    batches = [batch_of(each) for each in entries]
    waiting = [(each, batch) for each, batch in zip(entries, batches, strict=True) if each.run is not None and batch]
    overtaken = [
        other
        for other in {batch for batch in batches if batch is not None}
        for each, batch in waiting
        if each.run is not None and each.clock_ns(each.run.queued_ms + 2.1) < other.start_ns < batch.start_ns
    ]
    turned = data.draw(st.sampled_from(sorted(overtaken)))
    found = [
        msgspec.structs.replace(each, criticality="sheddable") if batch == turned else each
        for each, batch in zip(entries, batches, strict=True)
    ]
    assert broken(report(lines, found)).keys() == {"G14"}
    everybody = [msgspec.structs.replace(each, criticality="sheddable") for each in entries]
    assert broken(report(lines, everybody)) == {}


@given(_SHOPS, _ARRIVALS, st.data())
@settings(max_examples=100, deadline=None)
def test_one_record_lost_is_found(shop: Shop, arrivals: list[Arrival], data: st.DataObject) -> None:
    lines, entries = shop.live(arrivals)
    assume(entries)
    del entries[data.draw(st.integers(0, len(entries) - 1))]
    assert broken(report(lines, entries, shop.counts())) == {"I1": 1}
