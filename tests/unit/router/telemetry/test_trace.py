from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.telemetry import trace
from router.telemetry.trace import TraceContext

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-03", True),
        (f"00-{TRACE}-{PARENT}-fe", False),
        (f"01-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01-what the future holds", True),
    ],
)
def test_valid(header: str, sampled: bool) -> None:
    assert trace.parse(header) == (int(TRACE, 16), int(PARENT, 16), sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-extra",
        f"00-{TRACE}-{PARENT}-01\n",
        f"cc-{TRACE}-{PARENT}-01.extra",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-1",
        f"0-{TRACE}-{PARENT}-01",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"00-{'٣' * 32}-{PARENT}-01",
    ],
)
def test_invalid(header: str) -> None:
    assert trace.parse(header) is None


def test_joining_keeps_the_trace_and_takes_a_new_span() -> None:
    context = trace.join(f"00-{TRACE}-{PARENT}-01", "vendor=1", Random(1))
    assert (context.trace_id_hex, context.parent_id, context.sampled) == (TRACE, int(PARENT, 16), True)
    assert context.tracestate == "vendor=1"
    assert context.span_id not in {0, int(PARENT, 16)}


@pytest.mark.parametrize("header", [None, "garbage"])
def test_without_a_caller_a_trace_starts(header: str | None) -> None:
    context = trace.join(header, "vendor=1", Random(1))
    assert (context.parent_id, context.sampled, context.tracestate) == (0, False, "")
    assert context == trace.join(header, None, Random(1))
    assert context.trace_id != trace.join(header, None, Random(2)).trace_id


def test_an_id_is_never_zero() -> None:
    class Zeros(Random):
        def getrandbits(self, k: int, /) -> int:
            del k
            return 0

    context = trace.join(None, None, Zeros())
    assert context.trace_id > 0
    assert context.span_id > 0


@given(trace_id=st.integers(1, 2**128 - 1), span_id=st.integers(1, 2**64 - 1), sampled=st.booleans())
def test_what_is_written_is_read_back(trace_id: int, span_id: int, sampled: bool) -> None:
    context = TraceContext(trace_id=trace_id, span_id=span_id, sampled=sampled)
    assert trace.parse(context.traceparent) == (trace_id, span_id, sampled)


@pytest.mark.parametrize(
    ("tracestate", "passed_on"),
    [
        ("a=1,b=2", "a=1,b=2"),
        ("a=1 ,\tb=2,,", "a=1,b=2"),
        ("tenant@vendor=x y", "tenant@vendor=x y"),
        ("", ""),
        ("a", ""),
        ("A=1", ""),
        ("a=1\r\nset-cookie: x", ""),
        ("a=ü", ""),
        (",".join(f"k{number}=v" for number in range(33)), ""),
    ],
)
def test_tracestate(tracestate: str, passed_on: str) -> None:
    assert trace.bound(tracestate) == passed_on


def test_long_members_of_tracestate_go_first() -> None:
    long = "long=" + "x" * 200
    shorts = [f"k{number:02}=" + "x" * 30 for number in range(10)]
    assert trace.bound(",".join([long, *shorts])) == ",".join(shorts)
    many = [f"k{number:02}=" + "x" * 96 for number in range(6)]
    assert trace.bound(",".join(many)) == ",".join(many[:5])


@given(st.lists(st.text("ab1", min_size=1, max_size=200), max_size=32))
def test_tracestate_never_exceeds_its_bound(values: list[str]) -> None:
    members = [f"k{number}={value}" for number, value in enumerate(values)]
    kept = trace.bound(",".join(members))
    assert len(kept) <= 512
    assert [member for member in members if member in kept.split(",")] == [
        member for member in kept.split(",") if member
    ]
    if len(",".join(members)) <= 512:
        assert kept == ",".join(members)
