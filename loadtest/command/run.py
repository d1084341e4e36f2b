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
from loadtest.run import with_looks
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
    limit_ns = _limit_ns(args.extend_until_conclusive)
    options = options_of(args, scenario, make_target)
    note(f"{scenario.name}: {_minutes(scenario)} against {_where(scenario, args)}, into {options.out}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if limit_ns is None:
            made = runner.run(conduct(scenario, options))
        else:
            made = _extended(runner, scenario, options, limit_ns)
    code = conclude(made, args)
    note(f"run: {made.path}")
    return code


def _extended(runner: asyncio.Runner, scenario: Scenario, options: Options, limit_ns: int) -> Run:
    """Look, and look again while a gate is open; the looks are kept beside each other, and merged in the end."""
    parts: list[Run] = []
    for look in range(LOOKS):
        seeded = msgspec.structs.replace(scenario, seed=scenario.seed + look)
        made = runner.run(conduct(seeded, replace(options, out=options.out / f"look-{look + 1}")))
        made = with_looks(made, LOOKS)
        parts.append(made)
        if parts[1:]:
            made = merge(parts, options.out / f"looks-1-to-{look + 1}")
        whole = view(made)
        results = judge(whole, scenario.gates, payloads=made.payloads)
        is_open = overall(results) == "inconclusive" and check(made, whole).valid
        spent_ns = made.record.phases[-1].end_ns  # by all looks: a merged run has them end to end
        if made.record.status != "complete" or not is_open or spent_ns + scenario_ns(scenario) > limit_ns:
            return made
        if look + 1 < LOOKS:
            note(f"inconclusive after {look + 1} of {LOOKS} looks; running again with seed {seeded.seed + 1}")
    return made


def _limit_ns(text: str | None) -> int | None:
    try:
        return None if text is None else duration_ns(text)
    except ScenarioError as error:
        raise ScenarioError(f"--extend-until-conclusive: {error}") from None


def scenario_ns(scenario: Scenario) -> int:
    """How long a scenario lasts."""
    return sum(phase.for_ for phase in scenario.phases)


def _minutes(scenario: Scenario) -> str:
    count = len(scenario.phases)
    return f"{count} phase{'s' if count > 1 else ''}, {show_ns(scenario_ns(scenario))}"


def _where(scenario: Scenario, args: Namespace) -> str:
    return "the router in this process" if args.engine == "inproc" else scenario.target.url + scenario.target.path
