"""The scenarios and sentences that come with Takt; a scenario of them is named without a path: `steady`."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "scenarios"
UTTERANCES = FOLDER / "utterances.csv"


def shipped() -> tuple[str, ...]:
    """Their names, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def shipped_path(name: str) -> Path:
    return FOLDER / f"{name}.toml"
