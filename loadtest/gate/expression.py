"""Gate expressions: `p99 <= 50ms and share(rung=large) >= 95%`.

    expression = condition { "and" condition }
    condition  = metric ( "<=" | ">=" | "<" | ">" ) limit
    metric     = name [ "(" [ argument { "," argument } ] ")" ]

A statistical claim cannot tell `<` from `<=`; both are read as written and judged alike.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from loadtest.errors import ScenarioError
from loadtest.quantity import duration_ns, number, write_ns
from loadtest.sample import DEGRADED, RUNGS
from loadtest.scenario.spec import GateSpec

Operator = Literal["<=", ">=", "<", ">"]
Unit = Literal["share", "ns", "per_s"]


class Node(msgspec.Struct, frozen=True, tag=True):
    """A part of an expression."""


class Attainment(Node, frozen=True):
    """Share of all scheduled requests answered within a time; None: within the budget of each."""

    within_ns: int | None


class Quantile(Node, frozen=True):
    """Latency that a share `q` of all scheduled requests does not exceed."""

    q: float


class Mix(Node, frozen=True):
    """Share of answers with a value in a field."""

    field: Literal["rung", "degraded"]
    value: str


class Rate(Node, frozen=True):
    """Share of all scheduled requests with an outcome."""

    outcome: Literal["shed", "error", "late", "unsent"]


class Agreement(Node, frozen=True):
    """Share of degraded answers, of one rung or all, to which a reference says the same at zero load."""

    reference: str
    rung: str | None


class Accuracy(Node, frozen=True):
    """Share of answers, of one rung or all, that are what the payload's label says."""

    rung: str | None


class Throughput(Node, frozen=True):
    """Answers a second: all, or those within their budgets."""

    in_time: bool


class Recovery(Node, frozen=True):
    """Time until a share of answers is of the best rung, and stays so."""

    share: float
    caches: bool


Metric = Attainment | Quantile | Mix | Rate | Agreement | Accuracy | Throughput | Recovery


class Condition(Node, frozen=True):
    """A metric and its limit: a share, nanoseconds or a rate a second, as `unit_of` says."""

    metric: Metric
    operator: Operator
    limit: float

    @property
    def is_at_least(self) -> bool:
        return self.operator in {">=", ">"}


METRICS = (
    "attainment(50ms), attainment(), p50, p99, p99.9 (any percentile), share(rung=large), share(degraded=none), "
    "shed_rate, error_rate, late_rate, unsent_rate, agreement(large), agreement(large, rung=small), accuracy(), "
    "accuracy(rung=small), rate, goodput, recovery(share=0.95), time_to_large_rung"
)
_CONDITION = re.compile(r"\s*([a-z_]+[0-9.]*)\s*(\([^()]*\))?\s*(<=|>=|<|>)\s*([0-9a-zµ.%\s]*?)\s*")
_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,4})?)")
_RATES = {f"{outcome}_rate": outcome for outcome in ("shed", "error", "late", "unsent")}
_WORDS = {"rung": RUNGS[1:-1], "degraded": DEGRADED[1:-1]}
_RECOVERED_SHARE = 0.95
_DECIMALS = 12  # 1.1% is 0.011, not 0.011000000000000001


def parse(text: str) -> tuple[Condition, ...]:
    """Read an expression. Raises: ScenarioError: with the expression and what is allowed in it."""
    try:
        return tuple(_condition(part) for part in re.split(r"\band\b", text))
    except ScenarioError as error:
        raise ScenarioError(f"gate {text!r}: {error}") from None


def show(condition: Condition) -> str:
    """The text that `parse` reads as this condition."""
    limit = write_ns(round(condition.limit)) if unit_of(condition.metric) == "ns" else _plain(condition.limit)
    return f"{show_metric(condition.metric)} {condition.operator} {limit}"


def show_metric(metric: Metric) -> str:  # noqa: PLR0911 - one for each metric
    match metric:
        case Attainment(within_ns):
            return f"attainment({'' if within_ns is None else write_ns(within_ns)})"
        case Quantile(q):
            return f"p{_plain(round(q * 100, 4))}"
        case Mix(field, value):
            return f"share({field}={value})"
        case Rate(outcome):
            return f"{outcome}_rate"
        case Agreement(reference, rung):
            return f"agreement({reference}{f', rung={rung}' if rung else ''})"
        case Accuracy(rung):
            return f"accuracy({f'rung={rung}' if rung else ''})"
        case Throughput(in_time):
            return "goodput" if in_time else "rate"
        case Recovery(share, caches):
            return "time_to_large_rung" if caches else f"recovery(share={_plain(share)})"


def unit_of(metric: Metric) -> Unit:
    match metric:
        case Quantile() | Recovery():
            return "ns"
        case Throughput():
            return "per_s"
        case _:
            return "share"


def claimed_share(condition: Condition) -> float | None:
    """The share of requests that do not miss if the condition holds; None: it is about no share."""
    match condition.metric:
        case Quantile(q):
            return q
        case metric if unit_of(metric) == "share":
            return condition.limit if condition.is_at_least else 1 - condition.limit
        case _:
            return None


def gate_of(text: str, on: str = "all") -> GateSpec:
    """A gate of the command line: an expression, with `@99%` behind it for its confidence.

    Raises: ScenarioError: the expression or the confidence cannot be.
    """
    expr, at, confidence = text.partition("@")
    parse(expr)
    if not at:
        return GateSpec(expr=expr.strip(), on=on)
    claimed = round(number(confidence), _DECIMALS)
    if not 0.5 <= claimed < 1:  # noqa: PLR2004 - GateSpec says so
        raise ScenarioError(f"gate {text!r}: a confidence is at least 50% and below 100%, such as @99%")
    return GateSpec(expr=expr.strip(), on=on, confidence=claimed)


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ScenarioError(f"{text.strip()!r} is no condition; write a metric, <= or >=, and a limit: p99 <= 50ms")
    name, arguments, operator, limit = match.groups()
    metric = _metric(name, None if arguments is None else arguments[1:-1].strip())
    unit = unit_of(metric)
    if unit == "ns":
        if operator not in {"<=", "<"}:
            raise ScenarioError(f"{name} is a time that must not be exceeded; write {name} <= {limit}")
        return Condition(metric, operator, float(duration_ns(limit)))  # type: ignore[arg-type] # the pattern's
    value = round(number(limit), _DECIMALS)
    if unit == "share" and not 0 < value < 1:
        raise ScenarioError(
            f"{name} is a share and its limit lies between 0 and 1; no number of requests proves 0 % or 100 %: "
            "write 0.1% or 99.9%"
        )
    return Condition(metric, operator, value)  # type: ignore[arg-type] # the pattern's


def _metric(name: str, text: str | None) -> Metric:  # noqa: PLR0911 - one for each metric
    """Args: text: what is in the parentheses; None: there are none."""
    takes_none = text is None
    match name:
        case "attainment" if text is not None:
            return Attainment(int(duration_ns(text)) if text else None)
        case "share" if text:
            return _mix(text)
        case "agreement" if text:
            reference, comma, rest = text.partition(",")
            rung = _named(rest, "rung") if comma else None
            return Agreement(_word(reference.strip(), "rung"), rung and _word(rung, "rung"))
        case "accuracy" if text is not None:
            return Accuracy(_word(_named(text, "rung"), "rung") if text else None)
        case "recovery" if text is not None:
            return Recovery(_recovered(text) if text else _RECOVERED_SHARE, caches=False)
        case "time_to_large_rung" if takes_none:
            return Recovery(_RECOVERED_SHARE, caches=True)
        case "rate" | "goodput" if takes_none:
            return Throughput(in_time=name == "goodput")
        case _ if takes_none and name in _RATES:
            return Rate(_RATES[name])  # type: ignore[arg-type] # one of them
        case _ if takes_none and (found := _PERCENTILE.fullmatch(name)):
            return _quantile(found[1])
        case _:
            metric = name if text is None else f"{name}({text})"
            raise ScenarioError(f"{metric} is no metric; there are {METRICS}")


def _quantile(percent: str) -> Quantile:
    # Not percent / 100: 99.9 / 100 is 0.9990000000000001.
    q = float(f"{percent}e-2")
    if not q:
        raise ScenarioError("p0 is no percentile; the lowest is p0.0001")
    return Quantile(q)


def _mix(text: str) -> Mix:
    field, _, value = (part.strip() for part in text.partition("="))
    if field not in _WORDS:
        raise ScenarioError(f"share({text}) counts nothing; write share(rung=large) or share(degraded=none)")
    return Mix(field, _word(value, field))  # type: ignore[arg-type] # one of the two


def _recovered(text: str) -> float:
    share = round(number(_named(text, "share")), _DECIMALS)
    if not 0 < share <= 1:
        raise ScenarioError(f"recovery({text}): the share is above 0 and at most 1")
    return share


def _named(text: str, name: str) -> str:
    """The value in `name=value`."""
    found, equals, value = (part.strip() for part in text.partition("="))
    if found != name or not equals:
        raise ScenarioError(f"{text.strip()!r} is no argument here; write {name}=…")
    return value


def _word(value: str, field: str) -> str:
    if value not in _WORDS[field]:
        raise ScenarioError(f"{field} {value!r} is unknown; there are {', '.join(_WORDS[field])}")
    return value


def _plain(value: float) -> str:
    """The shortest text that is read as this number of at most 12 decimals."""
    return f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")
