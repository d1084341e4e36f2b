"""`takt loadtest run`: one scenario, run and judged; again with other seeds while a gate is open, if that is wanted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import uvloop

from loadtest.command.build import options_of, scenario_of
from loadtest.command.outcome import conclude
from loadtest.conductor import conduct
from loadtest.errors import ScenarioError
from loadtest.gate.judge import judge, overall
from loadtest.health import check
from loadtest.merge import merge
from loadtest.quantity import duration_ns, show_ns
from loadtest.terminal import note
from loadtest.view import view

if TYPE_CHECKING:
    from argparse import Namespace

    from loadtest.command.build import MakeTarget
    from loadtest.conductor import Options
    from loadtest.run import Run
    from loadtest.scenario.spec import Scenario

# Each look at the data is a chance to pass by luck: their number is fixed beforehand, and the confidence split.
LOOKS = 3


def run(args: Namespace, make_target: MakeTarget) -> int:
    """Returns: the exit code of the verdict. Raises: LoadtestError: nothing was measured."""
    scenario = scenario_of(args)
    options = options_of(args, scenario, make_target)
    note(f"{scenario.name}: {_minutes(scenario)} against {_where(scenario, args)}, into {options.out}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if args.extend_until_conclusive is None:
            return conclude(runner.run(conduct(scenario, options)), args)
        try:
            limit_ns = duration_ns(args.extend_until_conclusive)
        except ScenarioError as error:
            raise ScenarioError(f"--extend-until-conclusive: {error}") from None
        return conclude(_extended(runner, scenario, options, limit_ns), args, looks=LOOKS)


def _extended(runner: asyncio.Runner, scenario: Scenario, options: Options, limit_ns: int) -> Run:
    """Look, and look again while a gate is open; the looks are kept beside each other, and merged in the end."""
    parts: list[Run] = []
    spent_ns = 0
    for look in range(LOOKS):
        seeded = msgspec.structs.replace(scenario, seed=scenario.seed + look)
        made = runner.run(conduct(seeded, replace(options, out=options.out / f"look-{look + 1}")))
        parts.append(made)
        if parts[1:]:
            made = merge(parts, options.out / f"looks-1-to-{look + 1}")
        spent_ns += made.record.phases[-1].end_ns
        whole = view(made)
        results = judge(whole, scenario.gates, payloads=made.payloads, looks=LOOKS)
        is_open = overall(results) == "inconclusive" and check(made, whole).valid
        if made.record.status != "complete" or not is_open or spent_ns + scenario_ns(scenario) > limit_ns:
            return made
        if look + 1 < LOOKS:
            note(f"inconclusive after {look + 1} of {LOOKS} looks; running again with seed {seeded.seed + 1}")
    return made


def scenario_ns(scenario: Scenario) -> int:
    """How long a scenario lasts."""
    return sum(phase.for_ for phase in scenario.phases)


def _minutes(scenario: Scenario) -> str:
    return f"{len(scenario.phases)} phases, {show_ns(scenario_ns(scenario))}"


def _where(scenario: Scenario, args: Namespace) -> str:
    return "the router in this process" if args.engine == "inproc" else scenario.target.url + scenario.target.path
