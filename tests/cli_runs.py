"""Running commands in tests, and the project that `takt init` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from router.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Outcome(NamedTuple):
    """What a command left on the terminal."""

    code: int
    out: str
    err: str


def takt(capsys: pytest.CaptureFixture[str], *argv: object) -> Outcome:
    """Run a command in this process."""
    capsys.readouterr()
    code = main([str(each) for each in argv])
    return Outcome(code, *capsys.readouterr())


def edit(file: Path, old: str, new: str) -> None:
    """Replace what has to be in `file`."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
