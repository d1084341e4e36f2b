"""Scenario files: what is read, and that each mistake is refused with its key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from loadtest.distribution import Distribution
from loadtest.fault.link import ProxyFault
from loadtest.payload import load_payloads
from loadtest.quantity import Ns, decode_quantity, to_json
from loadtest.scenario.check import CRITICALITIES, problems
from loadtest.scenario.fault import ServerFaults
from loadtest.scenario.read import parse_scenario
from loadtest.scenario.shipped import shipped, shipped_path
from loadtest.scenario.spec import ArrivalsSpec, Scenario
from loadtest.schedule import plan
from router.domain.interaction import Criticality
from router.faults import FaultPlan

S = 1_000_000_000

WHOLE_TOML = """
schema = "loadtest/1"
name = "morning-peak"
seed = 7
budget = { deadline = "20ms:1,50ms:9", header = "X-Deadline" }
mix = { voice = 0.6, chat = 0.3 }
criticality = { critical = 1, sheddable = 2 }
validity = { lag_p99 = "5ms", send_rate = 0.98 }
quality = { replay = 20, budget = "2s" }

[target]
url = "http://127.0.0.1:9000"
start = "takt serve --allow-faults"
connections = 8
timeout = "3s"
headers = { Authorization = "Bearer x" }

[payload]
from = "data/texts.jsonl"
sample = "zipf(1.1)"
label = "intent"

[[phases]]
name = "warmup"
arrivals = "constant"
rate = 200
for = "10s"
measure = false

[[phases]]
name = "flash"
arrivals = { mmpp = { low = 80, high = 400, mean_low = "20s", mean_high = "2s" } }
for = "60s"

[[phases]]
name = "again"
arrivals = { trace = { file = "data/trace.csv", speed = 2 } }
for = "1m"

[[phases]]
name = "climb"
rate = { ramp = [10, 100] }
for = "30s"

[[faults]]
at = "15s"
for = "10s"
kind = "server"
set = { large = { delay_ms = 80 }, store = { down = true } }

[[faults]]
at = "30s"
for = "2s"
kind = "sigstop"

[[faults]]
at = "40s"
for = "2s"
kind = "proxy"
set = { latency_ms = 20, reset_share = 0.1 }

[[gates]]
on = "flash"
expr = "attainment() >= 0.99 and shed_rate <= 0.02"
confidence = 0.95
"""

WHOLE_YAML = """
schema: loadtest/1
name: morning-peak
seed: 7
budget: {deadline: "20ms:1,50ms:9", header: X-Deadline}
mix: {voice: 0.6, chat: 0.3}
criticality: {critical: 1, sheddable: 2}
validity: {lag_p99: 5ms, send_rate: 0.98}
quality: {replay: 20, budget: 2s}
target:
  url: http://127.0.0.1:9000
  start: takt serve --allow-faults
  connections: 8
  timeout: 3s
  headers: {Authorization: Bearer x}
payload: {from: data/texts.jsonl, sample: zipf(1.1), label: intent}
phases:
  - {name: warmup, arrivals: constant, rate: 200, for: 10s, measure: false}
  - {name: flash, arrivals: {mmpp: {low: 80, high: 400, mean_low: 20s, mean_high: 2s}}, for: 60s}
  - {name: again, arrivals: {trace: {file: data/trace.csv, speed: 2}}, for: 1m}
  - {name: climb, rate: {ramp: [10, 100]}, for: 30s}
faults:
  - {at: 15s, for: 10s, kind: server, set: {large: {delay_ms: 80}, store: {down: true}}}
  - {at: 30s, for: 2s, kind: sigstop}
  - {at: 40s, for: 2s, kind: proxy, set: {latency_ms: 20, reset_share: 0.1}}
gates:
  - {on: flash, expr: attainment() >= 0.99 and shed_rate <= 0.02, confidence: 0.95}
"""


def write(folder: Path, content: str, name: str = "s.toml") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    toml = parse_scenario(write(tmp_path, WHOLE_TOML))
    assert problems(toml) == []
    assert parse_scenario(write(tmp_path, WHOLE_YAML, "s.yaml")) == toml
    assert parse_scenario(write(tmp_path, WHOLE_YAML, "s.yml")) == toml
    assert toml.target.timeout == 3 * S
    assert toml.phases[0].for_ == Ns(10 * S)
    assert toml.gates[0].on == "flash"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    scenario = parse_scenario(write(tmp_path, WHOLE_TOML))
    assert scenario.payload.from_ == str(tmp_path / "data/texts.jsonl")
    arrivals = scenario.phases[2].arrivals
    assert isinstance(arrivals, ArrivalsSpec)
    assert arrivals.trace is not None
    assert arrivals.trace.file == str(tmp_path / "data/trace.csv")


@pytest.mark.parametrize("name", shipped())
def test_what_comes_with_takt_can_be_run(name: str) -> None:
    scenario = parse_scenario(name)
    assert problems(scenario) == []
    assert (scenario.name, scenario.schema) == (name, "loadtest/1")
    assert scenario.gates
    assert scenario.description
    payloads = load_payloads(scenario.payload)
    schedule = plan(scenario, len(payloads), scenario.seed)
    assert schedule.phases[0].name == "warmup"
    assert not schedule.phases[0].measure
    assert schedule.phases[-1].end_ns <= 11 * 60 * S
    assert Distribution.parse(scenario.budget.deadline)
    assert shipped_path(name).read_text(encoding="utf-8").startswith("#")


def test_the_words_of_faults_and_criticalities_are_the_servers() -> None:
    def words(kind: type[msgspec.Struct]) -> dict[str, tuple[str, ...]]:
        return {
            field.name: field.type.__struct_fields__
            if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
            else ()
            for field in msgspec.structs.fields(kind)
        }

    assert words(ServerFaults) == words(FaultPlan)
    assert set(CRITICALITIES) == {each.value for each in Criticality}
    assert set(ProxyFault.__struct_fields__) == {"latency_ms", "jitter_ms", "stall", "reset_share", "bandwidth_kb_s"}


def test_a_scenario_of_a_run_is_read_back_as_it_was(tmp_path: Path) -> None:
    scenario = parse_scenario(write(tmp_path, WHOLE_TOML))
    assert msgspec.json.decode(to_json(scenario), type=Scenario, dec_hook=decode_quantity) == scenario
