"""The command line as a whole: help, usage, errors nobody foresaw, and plain output."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from loadtest.errors import Unreachable
from router import __version__, cli
from router.commands import check, terminal
from router.commands.errors import exit_code
from router.log import LogRefused, LogUnavailable
from tests.cli_runs import takt

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = ("init", "check", "train", "evaluate", "models", "serve", "route", "explain", "audit")
ROOT = Path(__file__).parents[3]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAKT_DEBUG", raising=False)
    yield tmp_path


def test_help_names_every_command_and_the_first_steps(capsys: pytest.CaptureFixture[str]) -> None:
    done = takt(capsys, "--help")
    assert done.code == 0
    assert all(f"\n    {command} " in done.out for command in COMMANDS)
    assert "takt init" in done.out.partition("from nothing")[2]


@pytest.mark.parametrize("command", [*COMMANDS, "models import", "models list", "models activate", "models rollback"])
def test_each_command_shows_examples_that_parse(capsys: pytest.CaptureFixture[str], command: str) -> None:
    done = takt(capsys, *command.split(), "--help")
    assert done.code == 0
    examples = re.findall(r"^  (?:\w+=\S+ )?takt ([^|\n]+)", done.out.partition("examples:")[2], re.MULTILINE)
    assert examples
    for example in examples:
        argv = shlex.split(example, comments=True)
        assert argv[: len(command.split())] == command.split()
        cli._parser().parse_args(argv)  # exits where it is wrong


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert takt(capsys, "--version") == (0, f"takt {__version__}\n", "")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "COMMAND"),
        (["fly"], "choose from"),
        (["serve", "--port", "70000"], "'70000' is not a port; 0 to 65535 are"),
        (["serve", "--por", "1"], "unrecognized arguments: --por"),
        (["route", "hi", "--budget-ms", "nan"], "'nan' is not a number of milliseconds"),
        (["train", "--seed", "-1"], "'-1' is not a whole number"),
        (["evaluate", "--models", "m"], "--data"),
        (["train", "--kept-accuracy", "95"], "'95' is not a share from 0.5 to 0.999"),
        (["train", "--kept-accuracy", "most"], "'most' is not a share"),
        (["models", "import", "own.onnx"], "--data"),
        (["models", "import", "own.onnx", "--data", "d", "--name", "best"], "choose from"),
        (["models", "import", "own.onnx", "--data", "d", "--max-pieces", "1000"], "whole number from 3 to 512"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str], argv: list[str], says: str) -> None:
    done = takt(capsys, *argv)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert done.err.count("\n") == 1
    assert "--help`" in done.err


@pytest.mark.usefixtures("in_folder")
@pytest.mark.parametrize("command", [["check"], ["train"], ["serve"], ["route", "hi"], ["explain", "1"]])
def test_without_a_project_it_says_how_to_get_one(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    done = takt(capsys, *command)
    assert (done.code, done.out) == (2, "")
    assert "no takt.toml in this directory" in done.err
    assert "takt init DIR" in done.err


def test_in_a_checkout_the_example_stands_in(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, in_folder: Path
) -> None:
    example = in_folder / "examples" / "bank"
    takt(capsys, "init", example)
    done = takt(capsys, "serve")
    assert done.code == 2
    assert done.err.splitlines() == [
        "no takt.toml here: using the example project, examples/bank/takt.toml",
        "takt serve: examples/bank/models: no models yet; train them with `takt train -c examples/bank/takt.toml`",
    ]
    assert takt(capsys, "train").code == 2  # what writes is never done to a project that was not named


@pytest.mark.usefixtures("in_folder")
def test_an_unforeseen_error_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: object, environment: object) -> NoReturn:
        raise KeyError("lost")

    monkeypatch.setattr(check, "check", fail)
    done = takt(capsys, "check", "-c", "takt.toml")
    assert (done.code, done.out) == (1, "")
    assert done.err == "takt check: unexpected KeyError: 'lost'; run with TAKT_DEBUG=1 for the traceback\n"
    monkeypatch.setenv("TAKT_DEBUG", "1")
    assert "Traceback" in takt(capsys, "check", "-c", "takt.toml").err


@pytest.mark.usefixtures("in_folder")
def test_an_error_of_several_lines_is_as_many_and_each_is_safe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: object, environment: object) -> NoReturn:
        raise Unreachable("it ended; its last lines:\nno such\x1b[2J file\r\nbye")

    monkeypatch.setattr(check, "check", fail)
    assert takt(capsys, "check", "-c", "takt.toml").err.splitlines() == [
        "takt check: it ended; its last lines:",
        r"no such\x1b[2J file",
        "bye",
    ]


@pytest.mark.usefixtures("in_folder")
def test_ctrl_c_is_quiet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(path: object, environment: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "check", interrupt)
    assert takt(capsys, "check", "-c", "takt.toml") == (130, "", "")


def test_what_is_wrong_with_a_log_is_told_apart_from_what_may_pass() -> None:
    assert exit_code(LogRefused("x.sqlite", "why", "advice")) == 2
    assert exit_code(LogUnavailable("busy")) == 1
    assert exit_code(KeyError()) is None


def test_a_second_load_test_in_one_process_runs_as_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (takt(capsys, "loadtest", "run", "no-such-scenario") for _ in range(2))
    assert first.code == 2
    assert "no-such-scenario" in first.err
    assert second == first


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from router.cli import main; main(['--help']);"
        "sys.exit(' '.join(sorted({'numpy', 'onnxruntime', 'msgspec', 'rich', 'aiohttp'} & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == "\n"  # what sys.exit was given: no name


def test_bars_are_as_long_as_their_share(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.bars({"infer": 3.0, "encode": 1.0, "loop": 0.0})
    assert [line.count("#") for line in capsys.readouterr().out.splitlines()] == [30, 10, 0]


def test_progress_is_a_line_a_stage_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.progress() as report:
        for done in range(3):
            report("train small", done, 3)
        report("check small", 0, 1)
    assert capsys.readouterr() == ("", "train small ...\ncheck small ...\n")


def test_progress_is_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for variable in ("NO_COLOR", "CI"):
        monkeypatch.delenv(variable, raising=False)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with terminal.progress() as report:
        report("train small", 1, 2)
    assert "train small" in screen.getvalue()
    assert "50%" in screen.getvalue()
