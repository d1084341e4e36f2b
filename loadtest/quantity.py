"""Quantities as people write them: `50ms`, `1.5s`, `99%`. Inside, times are integer nanoseconds."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from loadtest.errors import ScenarioError

US, MS, S = 1_000, 1_000_000, 1_000_000_000
_UNITS_NS = {"ns": 1, "us": US, "µs": US, "ms": MS, "s": S, "m": 60 * S, "min": 60 * S, "h": 3_600 * S}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(ns|us|µs|ms|s|min|m|h)")
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(%|k)?")
_FACTORS = {"%": 0.01, "k": 1_000.0, None: 1.0}
LONGEST_NS = 7 * 24 * 3_600 * S


class Ns(int):
    """Nanoseconds; in files a number with its unit: `50ms`."""

    __slots__ = ()


def duration_ns(text: str) -> Ns:
    """Read `50ms`, `1.5s`, `2m`, `1h`. Raises: ScenarioError: no number with a unit, or more than a week."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ScenarioError(f"{text!r} is no duration; write a number with its unit: 50ms, 1.5s, 2m")
    ns = float(match[1]) * _UNITS_NS[match[2]]
    if ns > LONGEST_NS:  # 400 digits are infinite, too
        raise ScenarioError(f"{text[:40]!r} is longer than a week")
    return Ns(round(ns))


def number(text: str) -> float:
    """Read `0.99`, `99%`, `10k`. Raises: ScenarioError: no number, or none to count with."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None or math.isinf(float(match[1])):
        raise ScenarioError(f"{text[:40]!r} is no number; write 0.99, 99% or 10k")
    return float(match[1]) * _FACTORS[match[2]]


def show_ns(ns: float) -> str:
    """A time as short as three digits allow: `412 µs`, `46.1 ms`, `1.40 s`; of nothing (NaN): `-`."""
    if math.isnan(ns):
        return "-"
    if math.isinf(ns):
        return "never"
    for unit, size in (("s", S), ("ms", MS), ("µs", US)):
        if abs(ns) >= 0.9995 * size:
            return f"{_three_digits(ns / size)} {unit}"
    return f"{ns:.0f} ns"


def write_ns(ns: int) -> str:
    """The shortest text that `duration_ns` reads as exactly this."""
    for unit, size in (("s", S), ("ms", MS), ("us", US)):
        if ns % size == 0:
            return f"{ns // size}{unit}"
    return f"{int(ns)}ns"


def _three_digits(value: float) -> str:
    decimals = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{min(decimals, 2)}f}"


def decode_quantity(kind: type, value: Any) -> Any:  # noqa: ANN401 - msgspec's hook
    """For msgspec: the `dec_hook` of `Ns`."""
    if kind is Ns and isinstance(value, str):
        try:
            return duration_ns(value)
        except ScenarioError as error:
            raise ValueError(str(error)) from None
    if kind is Ns:
        raise ValueError(f"{value!r} is no duration; write a number with its unit: '50ms', '1.5s', '2m'")
    raise NotImplementedError(kind)


def encode_quantity(value: Any) -> Any:  # noqa: ANN401 - msgspec's hook
    """For msgspec: the `enc_hook` of `Ns`."""
    if isinstance(value, Ns):
        return write_ns(value)
    raise NotImplementedError(type(value))


def schema_of_quantity(kind: type) -> dict[str, Any]:
    """For msgspec: the `schema_hook` of `Ns`."""
    if kind is Ns:
        return {"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["50ms", "1.5s", "2m"]}
    raise NotImplementedError(kind)


def to_json(value: msgspec.Struct) -> bytes:
    """A struct of this package as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=encode_quantity), indent=2)
