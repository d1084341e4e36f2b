"""The files a user writes: routes.toml (what can be decided) and rules.toml (what binds, and what stands in)."""

from __future__ import annotations

import tomllib
from enum import Enum
from hashlib import sha256
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from models.columns import Column
from models.data import Example, read_csv
from models.errors import DataError
from models.spec import OUT_OF_SCOPE
from router.domain.decision import Target
from router.domain.place import with_names
from router.policy.column import MAX_COLUMNS, SOURCES, is_source
from router.policy.errors import PolicyError

if TYPE_CHECKING:
    from pathlib import Path

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Utterance = Annotated[str, msgspec.Meta(min_length=1)]
T = TypeVar("T")


class RouteSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    target: Target
    description: str = ""
    utterances: tuple[Utterance, ...] = ()


class RoutesFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    default: str
    unsure: str
    routes: dict[Name, RouteSpec]
    utterances: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()


class GuardSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What binds where it matches: it has no confidence, it is certain."""

    name: Name
    route: str
    description: str = ""
    keywords: tuple[str, ...] = ()
    when: str | None = None


class RuleSpec(GuardSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


class RulesFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    guards: tuple[GuardSpec, ...] = ()
    rules: tuple[RuleSpec, ...] = ()


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """Routes and rules that fit together. `routes_path` is kept for messages and for finding the utterances."""

    routes: RoutesFile
    rules: RulesFile
    routes_path: Path
    digest: bytes = b""  # of both files as they were read


def read_project(routes_path: Path, rules_path: Path) -> Project:
    """Read and cross-check both files. Both must exist: a rules file not found would be guards that do not bind.

    Raises: PolicyError naming file, key and what is allowed.
    """
    routes_content = _read(routes_path)
    routes = _fit_routes(_parse(routes_content, routes_path), routes_path)
    rules_content = _read(rules_path)
    rules = fit(_parse(rules_content, rules_path), RulesFile, str(rules_path))
    known = f"the routes are {', '.join(sorted(routes.routes))}"
    if OUT_OF_SCOPE in routes.routes:
        raise PolicyError(f"{routes_path}: routes.{OUT_OF_SCOPE}: the name is kept for texts that belong to no route")
    for key, route in (("default", routes.default), ("unsure", routes.unsure)):
        if route not in routes.routes:
            raise PolicyError(f"{routes_path}: {key} = {route!r} is not a route; {known}")
    _check_columns(routes.columns, routes_path)
    for kind, specs in (("guards", rules.guards), ("rules", rules.rules)):
        names: set[str] = set()
        for number, spec in enumerate(specs, 1):
            where = f"{rules_path}: [[{kind}]] number {number} ({spec.name})"
            if spec.route not in routes.routes:
                raise PolicyError(f"{where}: route = {spec.route!r} is not a route; {known}")
            if spec.name in names:
                raise PolicyError(f"{where}: the name is taken by an earlier one")
            if not spec.keywords and spec.when is None:
                raise PolicyError(f"{where}: needs keywords, when, or both")
            names.add(spec.name)
    digest = sha256(routes_content).digest() + sha256(rules_content).digest()
    return Project(routes=routes, rules=rules, routes_path=routes_path, digest=digest)


def _check_columns(columns: tuple[Column, ...], path: Path) -> None:
    if len(columns) > MAX_COLUMNS:
        raise PolicyError(f"{path}: [[columns]]: {len(columns)} of them; at most {MAX_COLUMNS} are allowed")
    for number, column in enumerate(columns, 1):
        where = f"{path}: [[columns]] number {number}: name = {column.name!r}"
        if not is_source(column.name):
            raise PolicyError(f"{where}: there is no such value; allowed: {', '.join(SOURCES)}")
        if column.name in {other.name for other in columns[: number - 1]}:
            raise PolicyError(f"{where}: declared twice")


def _fit_routes(raw: dict[str, Any], path: Path) -> RoutesFile:
    """Each route on its own first, because msgspec does not say which entry of a table it means."""
    routes = raw.get("routes")
    for name, spec in routes.items() if isinstance(routes, dict) else ():
        fit({name: spec}, dict[Name, Any], f"{path}: routes.{name}")
        fit(spec, RouteSpec, f"{path}: routes.{name}")
    return fit(raw, RoutesFile, str(path))


def read_utterances(project: Project) -> list[Example]:
    """Texts of the routes themselves and of their CSV files, these with the declared columns.

    Raises: DataError naming file, row and route.
    """
    rows = [Example(text, name) for name, spec in project.routes.routes.items() for text in spec.utterances]
    for file in project.routes.utterances:
        path = project.routes_path.parent / file
        for line, row in enumerate(read_csv(path, columns=project.routes.columns), 2):
            if row.route not in project.routes.routes and row.route != OUT_OF_SCOPE:
                raise DataError(f"{path}, row {line}: route {row.route!r} is not in {project.routes_path}")
            rows.append(row)
    return rows


def read_toml(path: Path, into: type[T]) -> T:
    """Read a TOML file into a struct, strictly. Raises: PolicyError naming file, key and what is allowed."""
    return fit(parse_toml(path), into, str(path))


def parse_toml(path: Path) -> dict[str, Any]:
    return _parse(_read(path), path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise PolicyError(f"{path}: no such file; `takt init DIR` writes a project to start from") from None
    except OSError as error:
        raise PolicyError(f"{path}: can't be read: {error}") from None


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path}: can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{path}: not TOML: {error}") from None


def fit(raw: dict[str, Any], into: type[T], where: str) -> T:
    """Turn parsed TOML into a struct; an unknown key is refused with the keys that are allowed."""
    try:
        return msgspec.convert(raw, into)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at ")
        hint = _allowed(into, _key(at)) if "unknown field" in message or "enum value" in message else ""
        key = _key(with_names(str(error), into, raw).partition(" - at ")[2])
        is_table = ": " in where  # it names the table already
        place = where if is_table and not key else f"{where}: {key or 'top level'}"
        raise PolicyError(f"{place}: {message[:1].lower()}{message[1:]}{hint}") from None


def _key(at: str) -> str:
    before, _, path = at.rpartition("$")
    key = path.strip("`").removeprefix(".")
    entry = before.removesuffix(" in `") if before.startswith("key '") else ""
    return ": ".join(filter(None, (key, entry)))


def _allowed(into: type[Any], key: str) -> str:
    """The keys of the table, or the words of the value, that `key` names, as far as it can be followed."""
    kind: Any = into
    for part in key.split(".") if key else ():
        if not _is_struct(kind):
            return ""
        name, _, index = part.partition("[")
        kind = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}.get(name)
        if index or get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        if get_origin(kind) in {Union, UnionType}:  # or nothing
            kind = get_args(kind)[0]
    if _is_struct(kind):
        return f"; allowed: {', '.join(field.encode_name for field in msgspec.structs.fields(kind))}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"; allowed: {', '.join(member.value for member in kind)}"
    return f"; allowed: {', '.join(get_args(kind))}" if get_origin(kind) is Literal else ""


def _is_struct(kind: Any) -> bool:  # noqa: ANN401 - any annotation
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
