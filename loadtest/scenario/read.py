"""Reads scenario files, strictly. TOML, or YAML, which only this module knows."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from loadtest.errors import ScenarioError
from loadtest.quantity import decode_quantity
from loadtest.scenario.explain import explain
from loadtest.scenario.shipped import shipped, shipped_path
from loadtest.scenario.spec import ArrivalsSpec, Scenario

_TOML, _YAML = (".toml",), (".yaml", ".yml")
_MOST_BYTES = 1_000_000


def parse_scenario(source: str | Path) -> Scenario:
    """A file, or one that comes with Takt by its name (`steady`). Its paths are then relative to the current directory.

    Keys and types are checked; what they mean is check.py's business.
    Raises: ScenarioError: naming the file, the key and what is allowed.
    """
    path = _find(source)
    raw = _load(path)
    for key, number in _numbers(raw, ""):
        if not math.isfinite(number):
            raise ScenarioError(f"{path}: {key}: {number} is no number to count with")
    try:
        scenario = msgspec.convert(raw, Scenario, dec_hook=decode_quantity)
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{path}: {explain(error, raw, Scenario)}") from None
    return _rebase(scenario, path.parent)


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.suffix in _TOML + _YAML:
        return path
    if str(source) in shipped():
        return shipped_path(str(source))
    raise ScenarioError(
        f"{source}: is no scenario; name a file (.toml, .yaml, .yml) or one of Takt's: {', '.join(shipped())}"
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ScenarioError(f"{path}: is larger than {_MOST_BYTES:,} bytes, so it is no scenario")
        text = path.read_text(encoding="utf-8-sig")
        raw = tomllib.loads(text) if path.suffix in _TOML else yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe one
    except FileNotFoundError:
        hint = f"; the one that comes with Takt is named {path.stem}" if path.stem in shipped() else ""
        raise ScenarioError(f"{path}: no such file{hint}") from None
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: is not UTF-8: {error}") from None
    except RecursionError:
        raise ScenarioError(f"{path}: is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: is not TOML: {error}") from None
    except yaml.YAMLError as error:
        raise ScenarioError(f"{path}: is not YAML: {_one_line(error)}") from None
    if not isinstance(raw, dict):
        raise ScenarioError(f"{path}: is not a table of keys and values")
    return raw


class _Loader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML has no types
    """Strict: no key twice, no aliases. Keys are text as it stands; YAML 1.1 would read `on:` as `true:`.

    Not libyaml's: that overflows the stack where this raises RecursionError, and scenarios are small.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - PyYAML has no types
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                raise yaml.constructor.ConstructorError(None, None, "a key is one word", key.start_mark)
            if key.value in found:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            found[key.value] = self.construct_object(value, deep=deep)
        return found


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else " ".join(problem.split())


def _numbers(value: Any, key: str) -> Iterator[tuple[str, float]]:  # noqa: ANN401 - a tree of anything
    """Every fractional number with its key."""
    if isinstance(value, float):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(inner, f"{key}.{name}".removeprefix("."))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _numbers(inner, f"{key}[{at}]")


def _rebase(scenario: Scenario, folder: Path) -> Scenario:
    """Paths in a file are relative to it."""
    payload = scenario.payload
    if payload.from_ is not None:
        payload = msgspec.structs.replace(payload, from_=str(folder / payload.from_))
    phases = []
    for phase in scenario.phases:
        arrivals = phase.arrivals
        if isinstance(arrivals, ArrivalsSpec) and arrivals.trace is not None:
            trace = msgspec.structs.replace(arrivals.trace, file=str(folder / arrivals.trace.file))
            arrivals = msgspec.structs.replace(arrivals, trace=trace)
        phases.append(msgspec.structs.replace(phase, arrivals=arrivals))
    return msgspec.structs.replace(scenario, payload=payload, phases=phases)
