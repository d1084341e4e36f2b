"""One direction of a bad connection: order, delays, stalls, resets, bandwidth, bounds."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.fault.link import END, FULL_BYTES, PACKET_BYTES, Link, ProxyFault
from loadtest.quantity import MS, S


def link(**fault: float) -> Link:
    return Link(msgspec.convert(fault, ProxyFault), np.random.default_rng(1))


def drain(of: Link, now_ns: int = 0) -> list[tuple[int, bytes]]:
    """Everything that will leave, with when."""
    left = []
    while (next_ns := of.next_ns()) is not None:
        now_ns = max(now_ns, next_ns)
        left += [(now_ns, data) for data in of.due(now_ns)]
    return left


def test_without_a_fault_bytes_leave_at_once() -> None:
    clean = link()
    assert clean.receive(b"one", 5)
    assert clean.next_ns() == 5
    assert clean.due(5) == [b"one"]
    assert clean.is_empty


def test_latency_holds_every_byte_for_so_long() -> None:
    slow = link(latency_ms=20)
    slow.receive(b"a", 0)
    slow.receive(b"b", 3 * MS)
    assert slow.due(20 * MS - 1) == []
    assert drain(slow) == [(20 * MS, b"a"), (23 * MS, b"b")]


@given(st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=3_000)), max_size=30), st.integers(0, 2**32))
def test_jitter_never_reorders_loses_or_hurries(arrivals: list[tuple[int, bytes]], seed: int) -> None:
    jittery = Link(ProxyFault(latency_ms=5, jitter_ms=50, bandwidth_kb_s=200), np.random.default_rng(seed))
    now_ns, sent, arrived = 0, b"", []
    for gap_ms, data in arrivals:
        now_ns += gap_ms * MS
        jittery.receive(data, now_ns)
        sent += data
        arrived += [now_ns] * len(data)
    left = drain(jittery)
    assert b"".join(data for _, data in left) == sent
    left_at = [at_ns for at_ns, data in left for _ in data]
    assert left_at == sorted(left_at)
    assert all(at_ns >= came_ns + 5 * MS for at_ns, came_ns in zip(left_at, arrived, strict=True))


def test_jitter_is_uniform_over_its_width() -> None:
    jittery = link(latency_ms=10, jitter_ms=40)
    delays_ms = []
    for at in range(2_000):
        jittery.receive(b"x", at * S)
        delays_ms.append((drain(jittery)[0][0] - at * S) / MS)
    assert 10 <= min(delays_ms) < 11
    assert 49 < max(delays_ms) <= 50
    assert np.mean(delays_ms) == pytest.approx(30, abs=1.5)  # 5 sigmas of the mean


def test_a_stall_holds_everything_and_loses_nothing() -> None:
    stalled = link(stall=True)
    stalled.receive(b"held", 0)
    assert stalled.next_ns() is None
    assert stalled.due(60 * S) == []
    stalled.set(ProxyFault(), 60 * S)
    assert stalled.due(60 * S) == [b"held"]


def test_the_end_of_a_fault_frees_what_it_held() -> None:
    slow = link(latency_ms=60_000, bandwidth_kb_s=0.001)
    slow.receive(b"a" * PACKET_BYTES * 2, 0)
    slow.due(60 * S)
    slow.set(ProxyFault(), 61 * S)
    assert slow.due(61 * S) == [b"a" * PACKET_BYTES]


def test_bandwidth_spreads_packets() -> None:
    narrow = link(bandwidth_kb_s=100)
    narrow.receive(bytes(100_000), 0)
    left = drain(narrow)
    assert left[-1][0] == pytest.approx(1 * S, rel=0.02)
    assert max(len(data) for _, data in left) == PACKET_BYTES


def test_a_late_timer_costs_no_bandwidth() -> None:
    narrow = link(bandwidth_kb_s=100)
    narrow.receive(bytes(50_000), 0)
    carried = sum(len(data) for at_ms in range(3, 303, 3) for data in narrow.due(at_ms * MS))
    assert carried == pytest.approx(30_000, abs=PACKET_BYTES)


def test_what_a_stall_kept_back_is_not_made_up_for() -> None:
    narrow = link(bandwidth_kb_s=100, stall=True)
    narrow.receive(bytes(50_000), 0)
    narrow.set(ProxyFault(bandwidth_kb_s=100), 10 * S)
    assert sum(len(data) for data in narrow.due(10 * S)) == PACKET_BYTES


def test_a_share_of_reads_resets() -> None:
    breaking = link(reset_share=0.1)
    reset = sum(not breaking.receive(b"x", 0) for _ in range(10_000))
    assert 850 < reset < 1_150  # 5 sigmas
    assert breaking.receive(END, 0)


def test_a_full_link_says_so_until_it_is_drained() -> None:
    stalled = link(stall=True)
    stalled.receive(bytes(FULL_BYTES - 1), 0)
    assert not stalled.is_full
    stalled.receive(b"x", 0)
    assert stalled.is_full
    stalled.set(ProxyFault(), 1)
    stalled.due(1)
    assert not stalled.is_full


@pytest.mark.parametrize(
    "wrong", [b'{"latency":20}', b'{"latency_ms":-1}', b'{"reset_share":2}', b'{"bandwidth_kb_s":0}']
)
def test_a_fault_that_cannot_be_is_refused(wrong: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(wrong, type=ProxyFault)
