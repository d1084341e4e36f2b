"""`takt check`: everything that a server or a training would read, and all that is wrong with it at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import msgspec

from models import registry, store
from models.columns import Column, Value, declared
from models.data import Example, digest
from models.errors import ModelError
from models.features import normalise
from models.spec import OUT_OF_SCOPE, read_manifest, verify
from router.activation import check_providers
from router.adapters.settings import find_problems
from router.commands.location import config_flag, find_config, shown
from router.commands.terminal import note, say, table
from router.commands.train import TRAINING
from router.config import ENV_PREFIX, Config, Settings, load_config
from router.policy.errors import PolicyError
from router.policy.point import build_point
from router.policy.project import (
    Project,
    RoutesFile,
    RulesFile,
    fit,
    parse_toml,
    read_project,
    read_toml,
    read_utterances,
)
from router.queues import fit_queues, problems_of, unknown_targets
from router.webhooks.settings import idle

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from router.assign.policy import Policy

P = ParamSpec("P")
T = TypeVar("T")
Rows = list[Example]

_MOST_DUPLICATES = 10  # one mistake can make thousands
_LEAST = 2  # routes to train on, and utterances of each


@dataclass(slots=True)
class Findings:
    """What was found: rows of the table, what is wrong, and what only looks wrong."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def attempt(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `call` returns; None, with the problem noted, where it raises one."""
        try:
            return call(*args, **kwargs)
        except (PolicyError, ModelError) as error:
            self.add_problem(str(error))
            return None

    def add_problem(self, problem: str) -> None:
        """Note a problem; the same one may be met on several ways."""
        if problem not in self.problems:
            self.problems.append(problem)


def run(args: Namespace) -> int:
    """Print what was found. Returns: 2 where something is wrong."""
    path = find_config(args.config)
    findings = check(path, os.environ)
    if findings.rows:
        table(("part", "file", "found"), findings.rows)
    for warning in findings.warnings:
        note(f"warning: {warning}")
    for problem in findings.problems:
        note(f"error: {problem}")
    if findings.problems:
        return 2
    say("All is well." if not findings.warnings else "Nothing is wrong; see the warnings.")
    return 0


def check(path: Path, environment: Mapping[str, str]) -> Findings:
    """Look at all files of a project."""
    findings = Findings()
    config = _check_settings(path, environment, findings)
    if config is None:
        return findings
    project = _check_policy(config, findings)
    if project is None:
        return findings
    utterances = _check_utterances(project, findings)
    findings.attempt(check_providers, config)
    _check_encoder(config, findings)
    _check_models(config, project, utterances, path, findings)
    return findings


def _check_settings(path: Path, environment: Mapping[str, str], findings: Findings) -> Config | None:
    """The settings; where some are wrong, those of the other sections, so that the check can go on."""
    config = findings.attempt(load_config, path, environment)
    overrides = sorted(name for name in environment if name.startswith(ENV_PREFIX))
    if config is not None:
        found = f"{', '.join(overrides)} applied" if overrides else "valid"
        findings.rows.append(("settings", shown(path), found))
        return config
    try:
        raw = parse_toml(path)
    except PolicyError:
        return None
    sound: dict[str, Any] = {}
    for name, section in raw.items():
        try:
            fit({name: section}, Settings, str(path))
        except PolicyError as error:
            if not overrides:  # else it may be the one that is noted, in other words
                findings.add_problem(str(error))
        else:
            sound[name] = section
    return Config(settings=fit(sound, Settings, str(path)), folder=path.resolve().parent)


def _check_policy(config: Config, findings: Findings) -> Project | None:
    """Routes, rules and queues, each file by itself, together, and each rule compiled."""
    routes_path, rules_path = config.routes_path, config.rules_path
    routes = findings.attempt(read_toml, routes_path, RoutesFile)
    rules = findings.attempt(read_toml, rules_path, RulesFile)
    if routes is not None:
        names = f"{len(routes.routes)} routes; default {routes.default}, unsure {routes.unsure}"
        findings.rows.append(("routes", shown(routes_path), names))
    queues = _check_queues(config, routes, findings)
    for problem in find_problems(config.settings.adapters, queues):
        findings.add_problem(f"{config.folder / 'takt.toml'}: {problem}")
    if rules is not None:
        findings.rows.append(("rules", shown(rules_path), f"{len(rules.guards)} guards, {len(rules.rules)} rules"))
        for kind in ("guards", "rules"):
            for spec in getattr(rules, kind):
                _check_rule(RulesFile(**{kind: (spec,)}), queues, config, findings)
    findings.attempt(read_project, routes_path, rules_path)
    if routes is None:
        return None
    return Project(routes=routes, rules=rules or RulesFile(), routes_path=routes_path)


def _check_queues(config: Config, routes: RoutesFile | None, findings: Findings) -> Collection[str]:
    """The names of the queues; whether the policy can take effect, and whether each route finds its queue."""
    path = config.queues_path
    if path is None:
        findings.rows.append(("queues", "-", "none, so decisions create no tasks"))
        if config.settings.webhooks:
            told = idle(config.settings.webhooks, config.settings.files.queues)
            findings.warnings.append(f"{shown(config.folder / 'takt.toml')}: {told}")
        return ()
    raw = findings.attempt(parse_toml, path)
    policy: Policy | None = None if raw is None else findings.attempt(fit_queues, raw, str(path))
    if policy is None:
        return () if raw is None or not isinstance(raw.get("queues"), dict) else raw["queues"]
    for problem in problems_of(policy, path.parent):
        findings.add_problem(f"{path}: {problem}")
    found = f"{len(policy.queues)} queues: {', '.join(policy.queues)}; version {policy.version}"
    findings.rows.append(("queues", shown(path), found))
    if routes is not None:
        targets = {name: spec.target for name, spec in routes.routes.items()}
        for problem in unknown_targets(targets, policy):
            findings.add_problem(f"{config.routes_path}: {problem}, of {shown(path)}")
    return policy.queues


def _check_rule(single: RulesFile, queues: Collection[str], config: Config, findings: Findings) -> None:
    """Compile one guard or rule by itself, so that each one's problem is found."""
    alone = Project(routes=RoutesFile(default="", unsure="", routes={}), rules=single, routes_path=config.routes_path)
    try:
        build_point("interactions", alone, config.settings.budget, queues)
    except PolicyError as error:
        findings.add_problem(f"{config.rules_path}: {error}")


def _check_utterances(project: Project, findings: Findings) -> Rows | None:
    """All utterances in the order that training reads them; None where a file of them is wrong."""
    before = len(findings.problems)
    rows = _utterances(project, ())
    if rows:
        findings.rows.append(("utterances", shown(project.routes_path), f"{len(rows)}"))
    for file in project.routes.utterances:
        found = findings.attempt(_utterances, _without_own(project), (file,))
        if found is not None:
            findings.rows.append(("utterances", shown(project.routes_path.parent / file), f"{len(found)}"))
            rows += found
    if len(findings.problems) > before:
        return None
    findings.warnings += _learnable(project, rows)
    findings.warnings += _ambiguous(rows)
    return rows


def _utterances(project: Project, files: tuple[str, ...]) -> Rows:
    """Those of the routes themselves and of `files`."""
    routes = msgspec.structs.replace(project.routes, utterances=files)
    return read_utterances(msgspec.structs.replace(project, routes=routes))


def _without_own(project: Project) -> Project:
    """The project without the utterances in its routes."""
    routes = {name: msgspec.structs.replace(spec, utterances=()) for name, spec in project.routes.routes.items()}
    return msgspec.structs.replace(project, routes=msgspec.structs.replace(project.routes, routes=routes))


def _learnable(project: Project, rows: Rows) -> list[str]:
    """What training would miss, and routes that nothing leads to."""
    number = dict.fromkeys(project.routes.routes, 0)
    for row in rows:
        if row.route != OUT_OF_SCOPE:
            number[row.route] += 1
    ruled = {spec.route for spec in (*project.rules.guards, *project.rules.rules)}
    reached = ruled | {project.routes.default, project.routes.unsure}
    path = shown(project.routes_path)
    warnings = [
        f"{path}: routes.{route}: nothing leads there; give it utterances, a guard or a rule"
        for route in number
        if number[route] == 0 and route not in reached
    ]
    warnings += [
        f"{path}: routes.{route}: has {number[route]} utterance; `takt train` needs {_LEAST} or more"
        for route in number
        if 0 < number[route] < _LEAST
    ]
    learned = [route for route in number if number[route]]
    if len(learned) < _LEAST:
        warnings.append(f"{path}: {len(learned)} routes have utterances; `takt train` needs {_LEAST} or more")
    return warnings


def _ambiguous(rows: Rows) -> list[str]:
    """Utterances that stand under two routes, with nothing beside them to tell which: a model can only learn one."""
    routes: dict[tuple[str, tuple[Value, ...]], set[str]] = {}
    for row in rows:
        routes.setdefault((normalise(row.text), row.values), set()).add(row.route)
    double = [
        f"the utterance {text!r} stands under {' and '.join(sorted(names))}; keep one"
        for (text, _), names in routes.items()
        if len(names) > 1
    ]
    if len(double) > _MOST_DUPLICATES:
        return [*double[:_MOST_DUPLICATES], f"{len(double) - _MOST_DUPLICATES} more utterances stand under two routes"]
    return double


def _check_encoder(config: Config, findings: Findings) -> None:
    """What `takt train` would learn `large` with. Nothing to say where nobody could train."""
    if any(find_spec(name) is None for name in TRAINING):
        return
    from models.encoder.find import INSTALL, find_encoder  # noqa: PLC0415 - can't be imported without the extra

    directory = config.encoder_dir
    if (encoder := findings.attempt(find_encoder, directory)) is not None:
        file = "installed" if directory is None else shown(directory)
        findings.rows.append(("encoder", file, encoder.name))
    elif directory is None:
        findings.rows.append(("encoder", "-", f"none, so `small` is trained alone; {INSTALL}"))


def _check_models(config: Config, project: Project, utterances: Rows | None, path: Path, findings: Findings) -> None:
    """The manifest, every file's hash, and whether models and routes fit each other."""
    if not config.models_dir.exists():
        findings.rows.append(("models", shown(config.models_dir), f"none yet: takt train{config_flag(path)}"))
        return
    version = findings.attempt(store.resolve, config.models_dir)
    if version is None:
        return
    models_dir = version.path
    manifest = findings.attempt(read_manifest, models_dir)
    if manifest is None:
        return
    for rung in manifest.rungs:
        for file, sha256 in registry.files_of(rung):
            findings.attempt(verify, models_dir / file, sha256)
    names = ", ".join(rung.name for rung in manifest.rungs)
    findings.rows.append(("models", shown(models_dir), f"{names}; {len(manifest.labels)} labels"))
    findings.rows += [("", "", note) for note in manifest.notes]
    _check_labels(manifest.labels, project, shown(models_dir), findings)
    findings.warnings += _other_columns(declared(manifest.columns), project.routes.columns, shown(models_dir))
    if utterances is not None and digest(utterances) != manifest.data_sha256:
        findings.warnings.append(
            f"{shown(models_dir)}: not trained on just the utterances as they are now: train again, unless --labels or"
            " --utterances added to them"
        )


def _other_columns(fed: Sequence[Column], stated: Sequence[Column], models: str) -> list[str]:
    """What the models read beside a text and routes.toml does not declare, or the other way round."""

    def told(columns: Sequence[Column], others: Sequence[Column]) -> str:
        return ", ".join(f"{column.name} ({column.kind})" for column in columns if column not in others)

    warnings = []
    if missing := told(stated, fed):
        warnings.append(
            f"{models}: the models don't know the columns {missing}; train again on rows with values of them"
        )
    if left := told(fed, stated):
        warnings.append(f"{models}: the models read the columns {left}, not in routes.toml; train again without them")
    return warnings


def _check_labels(labels: Sequence[str], project: Project, models: str, findings: Findings) -> None:
    unknown = sorted(set(labels) - set(project.routes.routes) - {OUT_OF_SCOPE})
    if unknown:
        findings.add_problem(
            f"{models}: the models answer {', '.join(unknown)}, not in {project.routes_path}; "
            "train again with `takt train`"
        )
