"""`takt simulate`: policies side by side on made-up days, or on what a log holds, with the engine that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from budgets.clock import SystemClock
from router.assign.command import AnyCommand
from router.assign.engine import Engine
from router.commands.errors import CheckFailed, CommandError
from router.commands.location import shown
from router.commands.terminal import facts, note, progress, say, table
from router.log import LogSettings, SqliteStore
from router.queues import compile_condition, read_queues
from router.simulate.advise import advise
from router.simulate.compare import DAY_METRICS, LINE_METRICS, Comparison, Measured, find
from router.simulate.draw import draw_day
from router.simulate.measure import ALL
from router.simulate.page import render
from router.simulate.pair import Solver
from router.simulate.play import SimulationError
from router.simulate.replay import Record
from router.simulate.run import Candidate, Plan, simulate
from router.simulate.words import show_difference, show_interval
from router.simulate.world import check_fit, find_policies, find_unskilled, find_world, read_world

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from router.assign.command import Command

_STAGE = "Simulating"


def run(args: Namespace) -> int:
    """Read, play, tell. Raises: CommandError: wrong usage; CheckFailed: the engine refused what it must not."""
    if args.log is not None and args.world is not None:
        raise CommandError("either a WORLD or --log: a log says itself who came and who was there")
    if args.advise:
        return _advise(args)
    plan, paths = _plan_of_log(args) if args.log is not None else _plan_of_world(args)
    candidates = [_candidate(path, paths) for path in paths]
    with progress() as tell:
        try:
            result = simulate(plan, candidates, compile_condition, lambda done, total: tell(_STAGE, done, total))
        except SimulationError as error:
            raise CheckFailed(str(error)) from error
    if args.json:
        say(msgspec.json.encode(_without_outcomes(result)).decode())
    else:
        _show(result)
    if args.out is not None:
        _write(args.out, render(result))
    return 0


def _plan_of_world(args: Namespace) -> tuple[Plan, list[Path]]:
    path = find_world(args.world or "day")
    world = read_world(path)
    paths = _stated(args.policy or ()) or find_policies(world, path)
    if not paths:
        raise CommandError(f"no policy to play: name one with --policy, or in `policies` of {shown(path)}")
    for each in paths:
        policy = read_queues(each)
        check_fit(world, policy, shown(path), shown(each))
        for warning in find_unskilled(world, policy, shown(path), shown(each)):
            note(f"warning: {warning}")
    return Plan(path.stem, world.description, lambda seed: draw_day(world, seed), args.seed, args.days), paths


def _stated(policies: Sequence[Path]) -> list[Path]:
    for path in policies:
        if not path.exists():
            raise CommandError(f"--policy {shown(path)}: no such file")
    return list(policies)


def _plan_of_log(args: Namespace) -> tuple[Plan, list[Path]]:
    if not args.policy:
        raise CommandError("--log needs the policies to play, the one that was in force first: --policy queues.toml")
    policies = [read_queues(each) for each in _stated(args.policy)]
    record = Record()
    record.read(_commands(args.log), Engine(compile_condition, policies[0]))
    if record.left_out:
        note(f"{record.left_out:,} commands speak of what came before this log's beginning; they are left out")
    for each, path in zip(policies, args.policy, strict=True):
        record.check_fit(each, shown(path))
    words = f"What {shown(args.log)} holds, played again: who came and who was there, the unknown drawn."
    return Plan(args.log.name, words, record.draw, args.seed, args.days), args.policy


def _commands(path: Path) -> Iterator[tuple[int, Command]]:
    """The log's commands, beside a running server or without one."""
    decode = msgspec.msgpack.Decoder(AnyCommand).decode
    for entry in SqliteStore(LogSettings(path=str(path)), SystemClock()).commands.entries():
        yield entry.at_ns, decode(entry.command)


def _advise(args: Namespace) -> int:
    """Which single skill for whom; by the first policy."""
    if args.log is not None or args.out is not None:
        raise CommandError("--advise needs a WORLD, and prints a table or --json: not with --log or --out")
    _, paths = _plan_of_world(args)
    world, candidate = read_world(find_world(args.world or "day")), _candidate(paths[0], paths)
    seeds = range(args.seed, args.seed + args.days)
    with progress() as tell:
        try:
            found = advise(world, candidate, compile_condition, seeds, lambda done, total: tell(_STAGE, done, total))
        except SimulationError as error:
            raise CheckFailed(str(error)) from error
    if args.json:
        say(msgspec.json.encode(found).decode())
    elif not found:
        say("nothing to teach: everybody has every skill that customers ask for")
    else:
        say(f"One agent learns one skill, under {candidate.name}: difference in the mean of {args.days} days", "")
        level, asa = LINE_METRICS[0], LINE_METRICS[2]
        rows = [
            (
                f"one of {each.crew} learns {each.skill} ({each.level})",
                "nobody was answered" if each.asa_s is None else show_difference(each.asa_s, asa),
                show_difference(each.service_level, level),
            )
            for each in found
        ]
        table(("lesson", asa.name, level.name), rows)
    return 0


def _candidate(path: Path, paths: Sequence[Path]) -> Candidate:
    """Called by its file; by its folder too, where two files have the same name."""
    policy = read_queues(path)
    is_clear = sum(each.name == path.name for each in paths) == 1
    name = path.name.removesuffix(".toml") if is_clear else shown(path)
    return Candidate(name, policy, Solver(policy, path.parent))


def _without_outcomes(result: Comparison) -> Comparison:
    policies = tuple(msgspec.structs.replace(each, outcomes=()) for each in result.policies)
    return msgspec.structs.replace(result, policies=policies)


def _write(path: Path, page: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--out {path}: can't be written: {error.strerror or error}") from None
    note(f"report: {shown(path)}")


def _show(result: Comparison) -> None:
    days = "one day" if result.days == 1 else f"{result.days} days, ± half of the 95 % interval of the mean"
    say(f"{result.world}: {result.description}".rstrip(": "), f"{days}; seeds from {result.seed} on", "")
    _show_policies(result)
    for policy in result.policies:
        say("", f"{policy.name}, by queue, a day in the mean")
        rows = [
            (
                f"{each.queue} ({result.targets_s[each.queue]:g} s)",
                *(f"{count:,.1f}" for count in (each.customers, each.abandoned, each.turned_away + each.unserved)),
                *(_cell(policy.measures, each.queue, metric.key) for metric in LINE_METRICS),
            )
            for each in policy.counts
            if each.queue != ALL
        ]
        counted = ("customers", "abandoned", "not served")
        table(("queue (in time)", *counted, *(metric.name for metric in LINE_METRICS)), rows)
    _show_differences(result)


def _show_policies(result: Comparison) -> None:
    metrics = [
        metric
        for metric in (*LINE_METRICS, *DAY_METRICS)
        if any(find(policy.measures, ALL, metric.key) is not None for policy in result.policies)
    ]
    rows = [
        (metric.name, *(_cell(policy.measures, ALL, metric.key) for policy in result.policies)) for metric in metrics
    ]
    table(("all queues", *(policy.name for policy in result.policies)), rows)


def _cell(measures: Sequence[Measured], queue: str, key: str) -> str:
    found = find(measures, queue, key)
    metric = next(each for each in (*LINE_METRICS, *DAY_METRICS) if each.key == key)
    return "-" if found is None else show_interval(found, metric)


def _show_differences(result: Comparison) -> None:
    """Only what can be told from chance."""
    base, *others = result.policies
    for other in others:
        say("", f"{other.name}, compared with {base.name} day by day (95 % interval)")
        told = [
            (
                f"{metric.name}, {'all queues' if each.queue == ALL else each.queue}",
                show_difference(each.value, metric),
            )
            for each in other.differences
            for metric in (*LINE_METRICS, *DAY_METRICS)
            if metric.key == each.metric and each.value.low is not None and each.value.high is not None
            if not each.value.low <= 0 <= each.value.high
        ]
        if told:
            facts(told)
        else:
            say(
                "  no difference that can be told from chance" + ("; more --days" if result.days > 1 else " in one day")
            )
