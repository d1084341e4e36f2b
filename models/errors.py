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
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}; train again with `takt train`, or restore the whole directory")


class RunFailed(ModelError):
    """The runtime refused or failed to compute."""


class BadOutput(ModelError):
    """A model answered with NaN, infinity, or another number of values than it has labels."""


class QualityRefused(ModelError):
    """A trained rung is worse than what is allowed, and no manifest names it."""


class UnknownVersion(ModelError):
    """No version is meant by that name, or more than one."""


class StoreFailed(ModelError):
    """The directory of versions cannot be changed; what was active is active still."""

    def __init__(self, path: Path, problem: OSError) -> None:
        """Name the file and what the disk said."""
        super().__init__(f"{path}: cannot be written ({problem.strerror or problem}); nothing was changed")


class VersionRefused(ModelError):
    """A version that is sound must not serve here all the same."""


class TooSlow(VersionRefused):
    """A rung takes longer than its place in the ladder allows."""


class LessAccurate(VersionRefused):
    """A version is right less often than the active one."""


class EncoderRefused(ModelError):
    """What should be a pretrained encoder is not, or not one that is known."""

    def __init__(self, path: Path, problem: str) -> None:
        """Name the file, what is wrong, and the remedy."""
        remedy = "name a directory with config.json, model.safetensors and tokenizer.json of a BERT sentence encoder"
        super().__init__(f"{path}: {problem}; {remedy}")


class TorchMissing(ModelError):
    """Tuning an encoder needs torch."""

    def __init__(self) -> None:
        """Say how to get it."""
        super().__init__(
            "--accurate needs torch, which is not installed: pip install torch --index-url"
            " https://download.pytorch.org/whl/cpu"
        )
