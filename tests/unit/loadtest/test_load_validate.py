"""`takt loadtest validate` and `schema`: what they print and how they end."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from loadtest.command import schema, validate
from loadtest.scenario.shipped import shipped


def check(file: str | Path) -> int:
    return validate.run(Namespace(file=file))


@pytest.mark.parametrize("name", shipped())
def test_what_comes_with_takt_is_right(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(name) == 0
    assert f"{name}: is right" in capsys.readouterr().out


def test_it_tells_what_the_scenario_will_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        """
        name = "s"
        mix = { voice = 1, chat = 3 }
        budget = { deadline = "20ms:1,50ms:1" }
        phases = [
          { name = "warm", arrivals = "constant", rate = 10, for = "3s", measure = false },
          { name = "climb", arrivals = "constant", rate = { ramp = [10, 90] }, for = "20s" },
          { name = "steps", arrivals = "constant", rate = [10, 20], for = "2s" },
          { name = "day", arrivals = "constant", for = "10s", rate.diurnal = { low = 5, high = 15, period = "10s" } },
          { name = "crowd", arrivals.mmpp = { low = 8, high = 80, mean_low = "2s", mean_high = "1s" }, for = "9s" },
        ]
        faults = [{ at = "4s", for = "2s", kind = "server", set = { large = { delay_ms = 80 } } }]
        gates = [
          { on = "climb", expr = "p99 <= 50ms and recovery(share=0.9) <= 5s", confidence = 0.95 },
          { on = "day", expr = "attainment() >= 0.99" },
        ]
        """,
        encoding="utf-8",
    )
    assert check(path) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "budget 20ms:1,50ms:1: 20 to 50 ms",
        "channels voice 25%, chat 75%",
        "warm 0s 3s constant 10/s 30 not measured",
        "climb 3s 20s constant 10 to 90/s 1,000",
        "steps 23s 2s constant 10, 20/s 30",
        "day 25s 10s constant 5 to 15/s and back in 10s 100",
        "server 4s 2s large.delay_ms=80",
        "p99 <= 50ms climb 0.95 1,000 4",
        "recovery(share=0.9) <= 5s climb 0.95 1,000 -",
        "attainment() >= 0.99 day 0.99 100 too few requests to pass",
    ):
        assert line in lines
    assert any(line.startswith("crowd 35s 9s mmpp 8 or 80/s") for line in lines)


def test_it_lists_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.toml"
    path.write_text('name = "s"\nbudget = { deadline = "x" }\nphases = [{ name = "p", for = "1s" }]', encoding="utf-8")
    assert check(path) == 2
    out, errors = capsys.readouterr()
    assert not out
    assert [line.split(": ")[1] for line in errors.splitlines()] == ["budget.deadline", "phases[0].rate"]


def test_the_schema_knows_every_table_and_its_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert schema.run(Namespace()) == 0
    found = json.loads(capsys.readouterr().out)
    tables = found["$defs"]
    assert found["$ref"] == "#/$defs/Scenario"
    assert tables["Scenario"]["required"] == ["name", "phases"]
    assert not any(table["additionalProperties"] for table in tables.values() if table["type"] == "object")
    assert tables["TargetSpec"]["properties"]["timeout"]["default"] == "10s"
    assert tables["ValiditySpec"]["properties"]["lag_p99"]["default"] == "2ms"
    assert tables["QualitySpec"]["properties"]["budget"]["default"] == "1s"
    assert {"from", "for"} <= {*tables["PayloadSpec"]["properties"], *tables["PhaseSpec"]["properties"]}


def test_a_server_that_is_to_be_frozen_may_be_named_when_it_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.toml"
    fault = 'faults = [{ at = "1s", for = "1s", kind = "sigstop" }]'
    path.write_text(f'name = "s"\nphases = [{{ name = "p", rate = 5, for = "9s" }}]\n{fault}')
    assert check(path) == 0
    assert "run it with --start or --pid" in capsys.readouterr().err
    path.write_text(f'{path.read_text()}\ntarget.start = "serve"')
    assert check(path) == 0
    assert "--pid" not in capsys.readouterr().err
