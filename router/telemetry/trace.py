"""W3C Trace Context: reading and writing `traceparent` and `tracestate`.

Source: https://www.w3.org/TR/trace-context/ (version 00).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from random import Random

# version 00 ends after the flags; a later version may go on after another dash.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII | re.DOTALL)
_MEMBER = re.compile(
    r"[a-z0-9][_0-9a-z*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]",
    re.ASCII,
)
_SAMPLED = 0x01
# The specification asks for at least 512 characters to be passed on, and for members above 128 to go first.
_STATE_CHARS, _LONG_MEMBER_CHARS, _MOST_MEMBERS = 512, 128, 32


class TraceContext(Struct, frozen=True, kw_only=True):
    """Where a request stands in its trace. Ids are integers > 0; `parent_id` 0: the trace starts here."""

    trace_id: int
    span_id: int
    parent_id: int = 0
    sampled: bool = False
    tracestate: str = ""

    @property
    def traceparent(self) -> str:
        """The header for outbound requests; only the flags that version 00 knows are passed on."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{_SAMPLED if self.sampled else 0:02x}"

    @property
    def trace_id_hex(self) -> str:
        """32 hexadecimal digits, as in logs and decision records."""
        return f"{self.trace_id:032x}"


def join(traceparent: str | None, tracestate: str | None, rng: Random) -> TraceContext:
    """Give a request a span of its own, in the caller's trace or in a new one.

    A malformed `traceparent` is treated as absent, and `tracestate` with it. The caller joins several
    `tracestate` headers with commas.
    """
    caller = None if traceparent is None else parse(traceparent)
    if caller is None:
        return TraceContext(trace_id=_new_id(128, rng), span_id=_new_id(64, rng))
    trace_id, parent_id, sampled = caller
    return TraceContext(
        trace_id=trace_id,
        span_id=_new_id(64, rng),
        parent_id=parent_id,
        sampled=sampled,
        tracestate=bound(tracestate) if tracestate else "",
    )


def parse(traceparent: str) -> tuple[int, int, bool] | None:
    """Trace id, parent id and the sampled flag; None when the header is not valid."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    version, trace_hex, parent_hex, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    trace_id, parent_id = int(trace_hex, 16), int(parent_hex, 16)
    if trace_id == 0 or parent_id == 0:
        return None
    return trace_id, parent_id, bool(int(flags, 16) & _SAMPLED)


def bound(tracestate: str) -> str:
    """Cut `tracestate` to 512 characters by leaving out whole members; "" when malformed."""
    members = [member.strip(" \t") for member in tracestate.split(",")]
    members = [member for member in members if member]
    if len(members) > _MOST_MEMBERS or not all(_MEMBER.fullmatch(member) for member in members):
        return ""
    chars = sum(map(len, members)) + max(0, len(members) - 1)
    for position in _removal_order(members):
        if chars <= _STATE_CHARS:
            break
        chars -= len(members[position]) + 1
        members[position] = ""
    return ",".join(member for member in members if member)


def _removal_order(members: list[str]) -> list[int]:
    """Long members first, then the others; from the end, where the least recent ones are."""
    return sorted(
        range(len(members)),
        key=lambda position: (len(members[position]) > _LONG_MEMBER_CHARS, position),
        reverse=True,
    )


def _new_id(bits: int, rng: Random) -> int:
    """Draw an id; zero means "no id" and is not one."""
    return rng.getrandbits(bits) or 1
