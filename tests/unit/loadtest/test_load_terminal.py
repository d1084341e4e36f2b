"""loadtest.terminal: plain where nobody looks, and safe everywhere."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from loadtest.terminal import clean, facts, is_rich, note, say, table

if TYPE_CHECKING:
    from typing import TextIO


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("name", "value", "welcome"),
    [("", "", True), ("NO_COLOR", "1", False), ("CI", "true", False), ("TERM", "dumb", False)],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, *, welcome: bool
) -> None:
    for each in ("NO_COLOR", "CI"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if name:
        monkeypatch.setenv(name, value)
    stream: TextIO = Tty()
    assert is_rich(stream) is welcome
    assert not is_rich(io.StringIO())


def test_nothing_that_is_printed_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[31m")
    note("b\u202e")
    table(("name", "count"), [("c\x07", "12"), ("long name", "3")])
    facts([("seed", "7"), ("scenario", "\x1b")])
    told = capsys.readouterr()
    assert (
        told.out
        == "a\\x1b[31m\nname       count\nc\\x07         12\nlong name      3\n  seed      7\n  scenario  \\x1b\n"
    )
    assert told.err == "b\\u202e\n"
    assert clean("Grüße, 50 µs") == "Grüße, 50 µs"
