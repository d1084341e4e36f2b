"""Everything that can go wrong with a model, as one tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class ModelError(Exception):
    """Base of the package's errors; the message says what to do."""


class DataError(ModelError):
    """Rows that can't be read, or can't be learned from."""


class ManifestError(ModelError):
    """`manifest.json` is missing, unreadable, or of another format."""

    def __init__(self, path: Path, problem: str) -> None:
        """Name the file and what is wrong with it."""
        super().__init__(f"{path}: {problem}")


class BadFile(ModelError):
    """A model file is missing, altered, or not a model that can be run."""

    def __init__(self, path: Path, problem: str) -> None:
        """Name the file, what is wrong, and the remedy."""
        super().__init__(f"{path}: {problem}; train again with `takt train`, or restore the whole directory")


class RunFailed(ModelError):
    """The runtime refused or failed to compute."""


class BadOutput(ModelError):
    """A model answered with NaN, infinity, or another number of values than it has labels."""


class QualityRefused(ModelError):
    """A trained rung is worse than what is allowed, and no manifest names it."""
