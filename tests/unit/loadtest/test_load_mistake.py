"""Mistakes in scenario files: each is refused with its key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.errors import ScenarioError
from loadtest.scenario.check import problems
from loadtest.scenario.read import parse_scenario

HEAD = 'name = "s"\n'
PHASE = '[[phases]]\nname = "p"\nrate = 10\nfor = "10s"\n'
FAULT = '[[faults]]\nat = "1s"\nfor = "1s"\n'


def write(folder: Path, content: str, name: str = "s.toml") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("content", "key", "says"),
    [
        # keys and types
        (PHASE, "top level", "missing required field `name`"),
        (HEAD, "top level", "missing required field `phases`"),
        (HEAD + "phases = []", "phases", "length >= 1"),
        (HEAD + 'colour = "red"\n' + PHASE, "top level", "unknown field `colour`; allowed: schema, name"),
        ('schema = "loadtest/2"\n' + HEAD + PHASE, "schema", "'loadtest/2'; allowed: loadtest/1"),
        ('name = "../s"\n' + PHASE, "name", "matching regex"),
        (HEAD + "seed = -1\n" + PHASE, "seed", ">= 0"),
        (HEAD + PHASE + "rps = 5\n", "phases[0]", "unknown field `rps`; allowed: name, arrivals, rate, for, measure"),
        (HEAD + '[[phases]]\nname = "p"\nrate = 10', "phases[0]", "missing required field `for`"),
        (HEAD + PHASE.replace('"10s"', "10"), "phases[0].for", "10 is no duration"),
        (HEAD + PHASE.replace("10s", "10 parsecs"), "phases[0].for", "'10 parsecs' is no duration"),
        (HEAD + PHASE.replace("rate = 10", "rate = 0"), "phases[0].rate", "> 0"),
        (HEAD + PHASE.replace("rate = 10", "rate = nan"), "phases[0].rate", "nan is no number"),
        (HEAD + PHASE.replace("rate = 10", "rate = [1, inf]"), "phases[0].rate[1]", "inf is no number"),
        (HEAD + PHASE.replace("rate = 10", "rate = { ramp = [1] }"), "phases[0].rate.ramp", "length 2"),
        (HEAD + PHASE.replace("rate = 10", "rate = { rmap = [1, 2] }"), "phases[0].rate", "allowed: ramp, diurnal"),
        (HEAD + "mix = { voice = 1, chat = -1 }\n" + PHASE, "mix.chat", "> 0"),
        (HEAD + PHASE + '[target]\nheaders = { A = "b", C = 3 }', "target.headers.C", "expected `str`"),
        (HEAD + PHASE + '[target]\nanswers = "maybe"', "target.answers", "allowed: takt, any"),
        (HEAD + PHASE + FAULT + 'kind = "fire"', "faults[0].kind", "allowed: server, sigstop, proxy"),
        (HEAD + PHASE + '[[gates]]\nexpr = "p99 <= 5ms"\nconfidence = 1', "gates[0].confidence", "< 1"),
        # what they mean
        (HEAD + PHASE + '[target]\nurl = "localhost:80"', "target.url", "http://HOST:PORT"),
        (HEAD + PHASE + '[target]\nurl = "http://h:x"', "target.url", "http://HOST:PORT"),
        (HEAD + PHASE + '[target]\nurl = "http://h/v1"', "target.url", "target.path"),
        (HEAD + PHASE + '[target]\npath = "v1"', "target.path", "begins with /"),
        (HEAD + PHASE + '[target]\nready = "/a b"', "target.ready", "no blanks"),
        (HEAD + PHASE + '[target]\nstart = " "', "target.start", "is empty"),
        (HEAD + PHASE + '[target]\ntimeout = "0s"', "target.timeout", "more than 0"),
        (HEAD + PHASE + '[target]\nheaders = { A = "b\\r\\nC: d" }', "target.headers.A", "no HTTP header"),
        (HEAD + PHASE + '[target]\nheaders = { "A b" = "c" }', "target.headers.A b", "no HTTP header"),
        (HEAD + PHASE + '[budget]\nheader = "A: b"', "budget.header", "HTTP header"),
        (HEAD + PHASE + '[budget]\ndeadline = "soon"', "budget.deadline", "'soon'"),
        (HEAD + PHASE + '[payload]\nsample = "often"', "payload.sample", "zipf(1.1)"),
        (HEAD + "criticality = { high = 1 }\n" + PHASE, "criticality.high", "allowed: critical-plus, critical"),
        (HEAD + PHASE + PHASE, "phases[1].name", "'p' is taken"),
        (HEAD + PHASE.replace('"p"', '"all"'), "phases[0].name", "'all' is taken"),
        (HEAD + PHASE.replace("10s", "0s"), "phases[0].for", "more than 0"),
        (HEAD + PHASE + "measure = false", "phases", "none is measured"),
        (HEAD + PHASE + 'arrivals = "posson"', "phases[0].arrivals", "constant, poisson, gamma"),
        (HEAD + PHASE + 'arrivals = "trace:x.csv"', "phases[0].arrivals", "trace = { file"),
        (HEAD + PHASE.replace("rate = 10\n", ""), "phases[0].rate", "is missing"),
        (HEAD + PHASE.replace("rate = 10", "rate = []"), "phases[0].rate", "0 steps"),
        (HEAD + PHASE.replace("rate = 10", "rate = {}"), "phases[0].rate", "exactly one of ramp, diurnal"),
        (
            HEAD + PHASE.replace("10\n", '{ ramp = [1, 2], diurnal = { low = 1, high = 2, period = "1s" } }\n', 1),
            "phases[0].rate",
            "exactly one of",
        ),
        (
            HEAD + PHASE.replace("10\n", '{ diurnal = { low = 3, high = 2, period = "0s" } }\n', 1),
            "phases[0].rate.diurnal.low",
            "more than high",
        ),
        (HEAD + PHASE + "arrivals = {}", "phases[0].arrivals", "exactly one of mmpp, trace"),
        (HEAD + PHASE + 'arrivals = { trace = { file = "x" } }', "phases[0].rate", "leave it out"),
        (
            HEAD
            + PHASE.replace(
                "rate = 10", 'arrivals = { mmpp = { low = 2, high = 1, mean_low = "1s", mean_high = "0s" } }'
            ),
            "phases[0].arrivals.mmpp.low",
            "more than high",
        ),
        (HEAD + PHASE + FAULT + 'kind = "server"', "faults[0].set", "is missing"),
        (
            HEAD + PHASE + FAULT + 'kind = "server"\nset = { big = {} }',
            "faults[0].set",
            "`big`; allowed: large, small, store, loop, executor",
        ),
        (
            HEAD + PHASE + FAULT + 'kind = "server"\nset = { large = { delay = 5 } }',
            "faults[0].set.large",
            "`delay`; allowed: delay_ms, error_share, nan_share",
        ),
        (
            HEAD + PHASE + FAULT + 'kind = "server"\nset = { store = { down = 1 } }',
            "faults[0].set.store.down",
            "expected `bool`",
        ),
        (
            HEAD + PHASE + FAULT + 'kind = "proxy"\nset = { latency = 5 }',
            "faults[0].set",
            "allowed: latency_ms, jitter_ms, stall, reset_share, bandwidth_kb_s",
        ),
        (HEAD + PHASE + FAULT + 'kind = "proxy"\nset = { reset_share = 2 }', "faults[0].set.reset_share", "<= 1"),
        (HEAD + PHASE + FAULT + 'kind = "sigstop"\nset = { a = 1 }', "faults[0].set", "takes no settings"),
        (HEAD + PHASE + FAULT + 'kind = "sigstop"', "faults[0].kind", "target.start"),
        (
            HEAD + PHASE + FAULT.replace('"1s"', '"9500ms"', 1) + 'kind = "server"\nset = { loop = {} }',
            "faults[0].at",
            "10.0 s",
        ),
        (HEAD + PHASE + '[[gates]]\nexpr = "p99 < fast"', "gates[0].expr", "fast"),
        (HEAD + PHASE + '[[gates]]\nexpr = "speed >= 0.5"', "gates[0].expr", "attainment"),
        (HEAD + PHASE + '[[gates]]\non = "q"\nexpr = "p99 <= 5ms"', "gates[0].on", "there are p, and all"),
        (
            HEAD + PHASE + PHASE.replace('"p"', '"w"') + 'measure = false\n[[gates]]\non = "w"\nexpr = "p99 <= 5ms"',
            "gates[0].on",
            "no measured phase",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_key_and_what_is_allowed(
    tmp_path: Path, content: str, key: str, says: str
) -> None:
    path = write(tmp_path, content)
    try:
        told = problems(parse_scenario(path))[0]
    except ScenarioError as error:
        assert str(error).startswith(f"{path}: ")
        told = str(error).removeprefix(f"{path}: ")
    assert told.startswith(f"{key}: ")
    assert says in told


def test_a_scenario_that_is_right_but_for_nothing_is_read(tmp_path: Path) -> None:
    """Or the mistakes above could be others than they seem."""
    assert problems(parse_scenario(write(tmp_path, HEAD + PHASE))) == []


def test_a_process_that_is_known_may_be_frozen(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + PHASE + FAULT + 'kind = "sigstop"')
    assert problems(parse_scenario(path), has_pid=True) == []


def test_all_problems_are_listed(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + PHASE.replace("10s", "0s") + '[budget]\ndeadline = "soon"')
    found = problems(parse_scenario(path))
    assert [problem.partition(":")[0] for problem in found] == ["budget.deadline", "phases[0].for"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("s.toml", "name = ", "is not TOML"),
        ("s.yaml", "name: [", "is not YAML: line 1"),
        ("s.yaml", "name: a\nname: b\n", "'name' is there twice"),
        ("s.yaml", "a: &x 1\nb: *x\n", "aliases are not allowed"),
        ("s.yaml", "? [a]\n: b\n", "a key is one word"),
        ("s.yaml", "name: !!python/object:os.system x\n", "could not determine a constructor"),
        ("s.yaml", "- a\n", "no table"),
        ("s.yaml", "", "no table"),
        ("s.yaml", "[" * 5_000, "nested too deeply"),
        ("s.toml", "a = " + "[" * 5_000, "nested too deeply"),
        ("s.toml", "#" * 1_000_001, "larger than"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(tmp_path: Path, name: str, content: str, says: str) -> None:
    path = write(tmp_path, content, name)
    with pytest.raises(ScenarioError) as error:
        parse_scenario(path)
    assert str(error.value).startswith(f"{path}: ")
    assert says in str(error.value).replace("is not a table", "no table")


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"s\.toml: no such file"):
        parse_scenario(tmp_path / "s.toml")
    with pytest.raises(ScenarioError, match="no such file; the one that comes with Takt is named steady"):
        parse_scenario(tmp_path / "steady.toml")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe4'")
    with pytest.raises(ScenarioError, match="is not UTF-8"):
        parse_scenario(tmp_path / "latin.toml")
    (tmp_path / "dir.toml").mkdir()
    with pytest.raises(ScenarioError, match=r"dir\.toml: cannot be read"):
        parse_scenario(tmp_path / "dir.toml")


def test_an_unknown_name_lists_those_that_come_with_takt() -> None:
    with pytest.raises(ScenarioError, match=r"is no scenario.*dead-store, flash-crowd, morning-peak, ramp, slow-model"):
        parse_scenario("stedy")
