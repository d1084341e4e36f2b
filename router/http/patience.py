"""Every way in which a client can say how long it is willing to wait.

Durations only: absolute deadlines would need clocks that agree. The smallest one counts (budgets/deadline.py).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from multidict import istr

from router.http.errors import Malformed

if TYPE_CHECKING:
    from multidict import MultiMapping

REQUEST_TIMEOUT = istr("X-Request-Timeout-Ms")
# Headers that carry a plain number, and how many milliseconds one of it is.
_PLAIN = {
    REQUEST_TIMEOUT: 1.0,
    istr("x-envoy-expected-rq-timeout-ms"): 1.0,
}
_GRPC_TIMEOUT, _PREFER = istr("grpc-timeout"), istr("Prefer")
# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: at most 8 digits and a unit.
_GRPC = re.compile(r"([0-9]{1,8})([HMSmun])")
_GRPC_UNIT_MS = {"H": 3_600_000.0, "M": 60_000.0, "S": 1_000.0, "m": 1.0, "u": 1e-3, "n": 1e-6}
# Longer numbers are no durations; this also keeps float() cheap.
_MAX_CHARS = 24
_WAIT = re.compile(r"wait\s*=\s*\"?([^\";,]*)\"?", re.IGNORECASE)


def stated_ms(headers: MultiMapping[str], body_ms: float | None) -> list[float]:
    """All budgets present, in ms, 0 for negative ones. Raises: Malformed naming the header or field."""
    found = stated_in_body_ms(body_ms)
    for header, unit_ms in _PLAIN.items():
        if header in headers:
            found += [_number(header, text) * unit_ms for text in headers.getall(header)]
    if _GRPC_TIMEOUT in headers:
        found += map(_grpc_ms, headers.getall(_GRPC_TIMEOUT))
    if _PREFER in headers:
        waits = map(_WAIT.search, headers.getall(_PREFER))
        found += [_number("Prefer: wait", wait[1]) * 1_000.0 for wait in waits if wait is not None]
    return found


def stated_in_body_ms(budget_ms: float | None) -> list[float]:
    """The same of a body alone. Raises: Malformed."""
    if budget_ms is None:
        return []
    if not math.isfinite(budget_ms):
        raise Malformed(f"budget_ms: {budget_ms} is not a number of milliseconds")
    return [max(0.0, budget_ms)]


def _grpc_ms(text: str) -> float:
    match = _GRPC.fullmatch(text.strip())
    if match is None:
        raise Malformed(f"grpc-timeout: {text[:40]!r} is not up to 8 digits and one of H M S m u n")
    return int(match[1]) * _GRPC_UNIT_MS[match[2]]


def _number(header: str, text: str) -> float:
    try:
        value = float(text) if len(text) <= _MAX_CHARS and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Malformed(f"{header}: {text[:40]!r} is not a number")
    return max(0.0, value)  # out of patience is out of patience
