"""loadtest.terminal: plain where nobody looks, and safe everywhere."""

from __future__ import annotations

import io
import sys

import pytest

from loadtest.terminal import clean, facts, is_rich, note, say, table


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("name", "value", "welcome"),
    [("", "", True), ("NO_COLOR", "1", False), ("CI", "true", False), ("TERM", "dumb", False)],
)
def test_what_is_drawn_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, *, welcome: bool
) -> None:
    for each in ("NO_COLOR", "CI"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if name:
        monkeypatch.setenv(name, value)
    screen = Tty()
    monkeypatch.setattr(sys, "stdout", screen)
    table(("route",), [("[bold]x[/bold]",)])
    assert ("│" in screen.getvalue()) is welcome
    assert "[bold]x[/bold]" in screen.getvalue()
    assert is_rich(screen) is welcome
    assert not is_rich(io.StringIO())


def test_nothing_that_is_printed_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[31m")
    note("b\u202e\udcff", "c\nd")
    table(("name", "count"), [("c\x07", "12"), ("long name", "3")])
    facts([("seed", "7"), ("scenario", "\x1b")])
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        r"a\x1b[31m",
        "name       count",
        r"c\x07         12",
        "long name      3",
        "  seed      7",
        r"  scenario  \x1b",
    ]
    assert told.err.splitlines() == [r"b\u202e\udcff", r"c\nd"]
    assert clean("Grüße, 50 µs, Käse 💳") == "Grüße, 50 µs, Käse 💳"
