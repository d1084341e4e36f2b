"""What docs/load-testing.md and its neighbours say of `takt loadtest` is so, and nothing is left out."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
from html import unescape
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from loadtest import errors
from loadtest.agents.book import Book
from loadtest.command import arguments
from loadtest.compare import compare
from loadtest.gate.expression import METRICS, gate_of
from loadtest.gate.judge import judge
from loadtest.report.page import render
from loadtest.report.summary import summarise
from loadtest.scenario.check import problems
from loadtest.scenario.read import parse_scenario
from loadtest.scenario.shipped import UTTERANCES, shipped
from loadtest.scenario.spec import GateSpec, Scenario
from loadtest.view import OUTCOMES, view
from tests.fabricated import MS, fabricate

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/load-testing.md", "docs/reading-a-report.md", "docs/coordinated-omission.md")
}
MANUAL = PAGES["docs/load-testing.md"]
TEXT = "".join(PAGES.values())
COMMANDS = re.findall(r"^\s*takt (loadtest .*)", TEXT, re.MULTILINE)
GATES = re.findall(r"'([^'\n]*[<>]=[^'\n]*)'", TEXT)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(exit_on_error=False)
    arguments.add(made.add_subparsers())
    return made


def options() -> Iterator[str]:
    todo = [parser()]
    while todo:
        for action in todo.pop()._actions:
            if isinstance(action, argparse._SubParsersAction):
                todo += action.choices.values()
            yield from (option for option in action.option_strings if option.startswith("--"))


def scenario_in(page: str, language: str, folder: Path) -> Scenario:
    """The page's only example of a whole scenario."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)
    (block,) = [each for each in found if "phases" in each]
    shutil.copy(UTTERANCES, folder / "utterances.csv")
    file = folder / f"example.{language}"
    file.write_text(block, encoding="utf-8")
    scenario = parse_scenario(file)
    assert problems(scenario, has_pid=True) == []
    return scenario


def test_the_example_is_the_same_scenario_in_both_languages(tmp_path: Path) -> None:
    example = scenario_in("docs/load-testing.md", "toml", tmp_path)
    assert example == scenario_in("docs/load-testing.md", "yaml", tmp_path)


def test_the_freeze_is_a_scenario(tmp_path: Path) -> None:
    frozen = scenario_in("docs/coordinated-omission.md", "toml", tmp_path)
    assert [fault.kind for fault in frozen.faults] == ["sigstop"]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_can_be_typed(command: str) -> None:
    words = shlex.shlex(command.replace("$SERVER", "1"), posix=True, punctuation_chars="&|>")
    words.whitespace_split = True
    # A pipe, a redirection or the next command is no part of it.
    parser().parse_args(list(takewhile(lambda word: word[0] not in "&|>", words)))


@pytest.mark.parametrize("text", GATES)
def test_gates_can_be_asked_for(text: str) -> None:
    gate_of(text)


def test_the_pages_have_commands_and_gates() -> None:
    assert len(COMMANDS) > 20
    assert len(GATES) > 5


def test_every_option_is_in_the_manual() -> None:
    assert {each for each in options() if each != "--help" and not re.search(rf"{each}\b", TEXT)} == set()


def test_every_metric_is_in_the_manual() -> None:
    names = {re.split(r"[(\s]", each)[0] for each in re.split(r", (?![^()]*\))", METRICS)}
    assert {name for name in names if f"`{name}" not in MANUAL} == set()


def test_every_scenario_that_ships_is_in_the_manual() -> None:
    assert {name for name in shipped() if f"| `{name}` |" not in MANUAL} == set()


def test_every_exit_code_and_outcome_is_in_the_manual() -> None:
    codes = (errors.PASSED, errors.FAILED, errors.USAGE, errors.INCONCLUSIVE, errors.INVALID, errors.UNREACHABLE)
    assert {code for code in (*codes, errors.INTERRUPTED) if f"\n| {code} |" not in MANUAL} == set()
    assert {name for name in OUTCOMES if f"\n| `{name}` |" not in MANUAL} == set()


def test_every_section_of_a_report_is_explained(tmp_path: Path) -> None:
    latency_ns = np.where(np.arange(2_000) % 50 == 0, 90 * MS, 10 * MS)
    base, new = (view(fabricate(tmp_path / name, latency_ns)) for name in ("base", "new"))
    degraded = np.where(np.arange(2_000) % 3 == 0, "budget", "none")
    run = fabricate(tmp_path / "run", latency_ns, degraded=degraded, agents=Book(3).close(0))
    results = judge(view(run), [GateSpec(expr="p99 <= 50ms")], payloads=run.payloads)
    found = compare([(base, new)], np.random.default_rng(1))
    page = render(summarise(run, view(run), results, found))
    titles = {unescape(each) for each in re.findall(r"<h2[^>]*>(.*?)</h2>", page)}
    explained = set(re.findall(r"^## (.+)$", PAGES["docs/reading-a-report.md"], re.MULTILINE))
    assert {"Gates", "Simulated agents"} <= titles
    assert titles <= explained
