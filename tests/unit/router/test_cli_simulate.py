from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from budgets.clock import SystemClock
from router.log import Checkpoint, Entry, LogSettings, SqliteStore
from router.simulate.play import play
from tests.cli_runs import edit, takt
from tests.simulated_days import Watched, agent, always, customer, day, no_pairs, policy

WORLD = """\
from = "08:00"
to = "09:00"
policies = ["queues.toml"]
[streams.chats]
queue = "line"
per_hour = 60
handling = { mean_s = 120 }
patience = { mean_s = 60 }
[crews.team]
count = 3
queues = ["line"]
channels = { chat = 1 }
reaction = { mean_s = 4 }
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "queues.toml").write_text("[queues.line]\ntarget_s = 30\n", encoding="utf-8")
    (tmp_path / "slow.toml").write_text("[queues.line]\nrank = 'round_robin'\n", encoding="utf-8")
    path = tmp_path / "world.toml"
    path.write_text(WORLD, encoding="utf-8")
    return path


def test_tables(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    done = takt(capsys, "simulate", world, "--days", 3)
    assert done.code == 0
    assert "3 days, ± half of the 95 % interval of the mean; seeds from 0 on" in done.out
    for word in ("SL", "ASA", "abandoned", "occupancy", "Gini", "line (30 s)"):
        assert word in done.out


def test_two_policies_are_compared(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    both = ("--policy", world.parent / "queues.toml", "--policy", world.parent / "slow.toml")
    done = takt(capsys, "simulate", world, *both, "--days", 2)
    assert done.code == 0
    assert "slow, compared with queues day by day" in done.out


def test_json_is_the_same_for_the_same_seed(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    outputs = [takt(capsys, "simulate", world, "--days", 2, "--seed", seed, "--json").out for seed in (5, 5, 6)]
    assert outputs[0] == outputs[1] != outputs[2]
    found = json.loads(outputs[0])
    assert found["days"] == 2
    assert {each["metric"] for each in found["policies"][0]["measures"]} >= {"service_level", "asa_s", "occupancy"}
    assert found["policies"][0]["outcomes"] == []


def test_a_report_is_written(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    report = world.parent / "new" / "report.html"
    done = takt(capsys, "simulate", world, "--days", 2, "--out", report)
    assert done.code == 0
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "report.html" in done.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("nowhere.toml",), "nowhere.toml: no such file, nor a world that comes with Takt: day"),
        (("WORLD", "--days", "0"), "'0' is not a whole number from 1 to 10000"),
        (("WORLD", "--policy", "gone.toml"), "gone.toml: no such file"),
        (("WORLD", "--log", "some.sqlite"), "either a WORLD or --log"),
        (("--log", "some.sqlite"), "--log needs the policies to play"),
        (("--log", "gone.sqlite", "--policy", "QUEUES"), "gone.sqlite"),
        (("WORLD", "--out", "WORLD/report.html", "--days", "1"), "can't be written"),
    ],
)
def test_wrong_usage_is_said(capsys: pytest.CaptureFixture[str], world: Path, argv: tuple[str, ...], said: str) -> None:
    paths = {"WORLD": str(world), "QUEUES": str(world.parent / "queues.toml")}
    stated = [each.replace("WORLD", paths["WORLD"]).replace("QUEUES", paths["QUEUES"]) for each in argv]
    done = takt(capsys, "simulate", *stated)
    assert done.code == 2
    assert said in done.err


def test_a_world_without_policies_needs_one(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    edit(world, 'policies = ["queues.toml"]\n', "")
    done = takt(capsys, "simulate", world)
    assert (done.code, "name one with --policy" in done.err) == (2, True)


def test_a_policy_that_is_not_there_is_named_with_its_key(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    edit(world, 'policies = ["queues.toml"]', 'policies = ["queues.toml", "day.strict.toml"]')
    done = takt(capsys, "simulate", world)
    assert done.code == 2
    assert f"{world}: policies[1]: day.strict.toml: no such file beside it" in done.err
    assert "takt init" not in done.err
    gone = takt(capsys, "simulate", world, "--policy", "gone.toml")
    assert (gone.code, "--policy gone.toml: no such file" in gone.err, "takt init" in gone.err) == (2, True, False)


def test_a_crew_without_a_skill_of_its_queue_is_warned_of(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    queues = world.parent / "queues.toml"
    assert "warning" not in takt(capsys, "simulate", world, "--days", 1).err
    edit(queues, "target_s = 30", "target_s = 30\nskills = { cards = 3, german = 1 }")
    edit(world, "count = 3", "count = 3\nskills = { cards = 2, german = 5 }")
    done = takt(capsys, "simulate", world, "--days", 1)
    assert done.code == 0
    said = "crews.team has cards at 2 of the 3 that queues.line of"
    assert [said in line for line in done.err.splitlines() if "warning" in line] == [True]
    edit(world, "cards = 2, ", "")
    assert "crews.team lacks cards, which queues.line of" in takt(capsys, "simulate", world, "--days", 1).err


def test_the_example_of_the_page_does_what_it_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[3] / "docs/simulating.md").read_text(encoding="utf-8")
    files = dict(re.findall(r"^`([\w-]+\.toml)`:\n```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    assert files.keys() == {"my-day.toml", "queues.toml", "changed.toml"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (shown,) = re.findall(r"^```\n\$ takt (simulate my-day.*?)^```", page, re.DOTALL | re.MULTILINE)
    command, _, output = shown.partition("\n")
    monkeypatch.chdir(tmp_path)
    done = takt(capsys, *command.split())
    assert (done.code, "warning" in done.err) == (0, False)
    told = "\n".join(line.rstrip() for line in done.out.splitlines())
    for part in output.split("…\n"):
        assert part.rstrip() in told


def test_the_days_of_a_log_are_played_again(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    """As a server writes it: commands in MessagePack, in their order."""
    people = [agent(f"a{n}", reaction=always(4)) for n in range(2)]
    engine = Watched(policy())
    play(day([customer(f"c{at:03d}", 60 + at * 13, 40, 90) for at in range(100)], people), engine, no_pairs)
    path = world.parent / "log.sqlite"
    store = SqliteStore(LogSettings(path=str(path)), SystemClock())
    store.open()
    epoch = store.commands.take_over().epoch
    encode = msgspec.msgpack.Encoder().encode
    steps: list[Entry | Checkpoint] = [
        Entry(at, now_ns, epoch, encode(command)) for at, (now_ns, command) in enumerate(engine.commands, 1)
    ]
    store.write([], steps)
    store.close()
    done = takt(capsys, "simulate", "--log", path, "--policy", world.parent / "queues.toml", "--days", 2, "--json")
    assert done.code == 0, done.err
    (counts, *_) = json.loads(done.out)["policies"][0]["counts"]
    assert counts["customers"] == 100


def test_advice_names_who_should_learn_what(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    done = takt(capsys, "simulate", world, "--days", 2, "--advise")
    assert (done.code, done.out) == (0, "nothing to teach: everybody has every skill that customers ask for\n")
    edit(world, "per_hour = 60", "per_hour = 60\nskills = { french = 2 }")
    edit(world, "count = 3", "count = 3\nskills = { french = 1 }")
    alone = takt(capsys, "simulate", world, "--days", 2, "--advise").out
    assert "one of team learns french (2)  nobody was answered  +" in alone
    edit(world, "[crews.team]", "[crews.fluent]\ncount = 1\nqueues = ['line']\nchannels = { chat = 1 }\n"
         "skills = { french = 4 }\n[crews.team]")  # fmt: skip
    assert "one of team learns french (2)" in takt(capsys, "simulate", world, "--days", 2, "--advise").out
    asked = takt(capsys, "simulate", world, "--days", 2, "--advise", "--json")
    assert [each["skill"] for each in json.loads(asked.out)] == ["french"]
    assert takt(capsys, "simulate", world, "--advise", "--out", world.parent / "x.html").code == 2


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    done = takt(capsys, "simulate", "--help")
    assert done.code == 0
    assert "takt simulate --log var/takt.sqlite --policy queues.toml" in done.out
