"""The faults of a scenario in the order of time: what must be broken from when on, for each kind. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadtest.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadtest.scenario.spec import FaultSpec


@dataclass(frozen=True, slots=True)
class Event:
    """From `at_ns` on, exactly `state` is broken of this kind. Faults are named by their index in the scenario."""

    at_ns: int
    kind: str
    state: dict[str, Any] | None  # None: nothing
    begun: tuple[int, ...] = ()
    ended: tuple[int, ...] = ()


def timeline(faults: Sequence[FaultSpec]) -> tuple[Event, ...]:
    """Events in the order of time, one a kind and moment: faults that touch leave no gap between them.

    Where faults of a kind overlap, all their keys are in force; of a key that several set, the fault that began last
    wins, and of those that began together the last in the file.

    Raises: ScenarioError: a fault that cannot be; the message names its key.
    """
    for at, fault in enumerate(faults):
        _check(at, fault)
    moments = {(fault.kind, at_ns) for fault in faults for at_ns in (fault.at, fault.at + fault.for_)}
    return tuple(_event(faults, kind, at_ns) for kind, at_ns in sorted(moments, key=lambda moment: moment[::-1]))


def describe(fault: FaultSpec) -> str:
    """What a fault does, in a line: `large.delay_ms=80`."""
    return "frozen" if fault.kind == "sigstop" else " ".join(_leaves(fault.set))


def _check(at: int, fault: FaultSpec) -> None:
    if fault.at < 0:
        raise ScenarioError(f"faults[{at}].at: is before the run")
    if fault.for_ <= 0:
        raise ScenarioError(f"faults[{at}].for: must be more than nothing")
    if fault.kind == "sigstop" and fault.set:
        raise ScenarioError(f"faults[{at}].set: `sigstop` freezes the server and takes no settings")
    if fault.kind != "sigstop" and not fault.set:
        raise ScenarioError(f"faults[{at}].set: is missing; say what is broken")


def _event(faults: Sequence[FaultSpec], kind: str, at_ns: int) -> Event:
    of_kind = [(at, fault) for at, fault in enumerate(faults) if fault.kind == kind]
    active = sorted((fault.at, at) for at, fault in of_kind if fault.at <= at_ns < fault.at + fault.for_)
    state: dict[str, Any] | None = {} if active else None
    for _, at in active:
        state = _merged(state or {}, faults[at].set)
    return Event(
        at_ns,
        kind,
        state,
        begun=tuple(at for at, fault in of_kind if fault.at == at_ns),
        ended=tuple(at for at, fault in of_kind if fault.at + fault.for_ == at_ns),
    )


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key; anything else of `above` replaces what is below."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _leaves(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in table.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}={value}"]
    return found
