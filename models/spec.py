"""What a directory of models holds: `manifest.json` and its parts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from models import errors

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 2
MANIFEST_FILE = "manifest.json"
OUT_OF_SCOPE = "oos"
"""Label of training rows that belong to no route; it may be a class of a rung, and is never a route."""

Kind = Literal["category", "number"]
Share = Annotated[float, Meta(ge=0, le=1)]


class FeatureSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a text becomes ids; a rung works only with the features it was trained on."""

    bits: Annotated[int, Meta(ge=4, le=22, description="2**bits hash buckets")] = 16
    min_gram: Annotated[int, Meta(ge=1, le=8, description="shortest character n-gram of a word")] = 3
    max_gram: Annotated[int, Meta(ge=1, le=8, description="longest character n-gram of a word")] = 5
    max_words: Annotated[int, Meta(ge=1, description="words read of a text")] = 64
    max_chars: Annotated[int, Meta(ge=1, le=4_096, description="characters read of a normalised text")] = 512

    @property
    def buckets(self) -> int:
        """Number of different ids."""
        return 1 << self.bits


class PieceSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a text becomes word pieces: a `tokenizer.json` as the library `tokenizers` reads it."""

    file: str
    sha256: str
    max_pieces: Annotated[int, Meta(ge=3, le=512, description="pieces read of a text, start and end included")] = 64


class ColumnSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value beside the text that joins in the scoring: a number, or one of some words.

    A number becomes its distance from `mean` in units of `spread`. A category becomes one value for each of `words`
    and one for any other word: 1 for the one that it is. What is missing is 0.
    """

    name: str
    mean: float = 0.0
    spread: Annotated[float, Meta(gt=0)] = 1.0
    words: tuple[str, ...] | None = None

    @property
    def kind(self) -> Kind:
        """How a value of it is read."""
        return "number" if self.words is None else "category"

    @property
    def width(self) -> int:
        """Number of values that the graph is fed for it."""
        return 1 if self.words is None else len(self.words) + 1


class RungManifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model: its file, what it is fed, how to read its numbers, and what it was worth when it was trained.

    Shares and errors are of the held-out rows of training; costs are text to answer on the training machine.
    `features`, `pieces` and `columns` are there where the graph has inputs for them (`models.inputs`).
    """

    name: str
    file: str
    sha256: str
    bytes: int
    fp32_file: str | None = None
    fp32_sha256: str | None = None
    features: FeatureSpec | None = None
    pieces: PieceSpec | None = None
    columns: tuple[ColumnSpec, ...] = ()
    labels: Annotated[tuple[str, ...] | None, Meta(description="of its answers, where not those of the manifest")] = (
        None
    )
    output: Literal["logits", "probabilities"] = "logits"
    temperature: Annotated[float, Meta(gt=0, description="logits are divided by it before the softmax")]
    threshold: Annotated[Share, Meta(description="below this confidence a route is not taken")]
    familiarity: Annotated[
        float | None,
        Meta(description="a text less like those of its route (a cosine) is out of scope; null: not asked"),
    ] = None
    accuracy: Share
    accuracy_fp32: Share
    ece: Share
    auroc_oos: Share | None
    kept_share: Annotated[Share | None, Meta(description="of the texts in scope, taken at the threshold")] = None
    kept_accuracy: Annotated[Share | None, Meta(description="of what was taken, right")] = None
    p50_us: float
    p99_us: float


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rungs of one training, best last, and where they came from.

    `labels` are the classes in the order of the logits; `OUT_OF_SCOPE` may be among them. Rungs that are fed columns
    share them: an interaction is read once for all.
    """

    format: int = FORMAT
    labels: tuple[str, ...]
    rungs: tuple[RungManifest, ...]
    seed: int
    created_at: str
    rows: int
    data_sha256: str
    encoder: Annotated[str | None, Meta(description="of rung large: its name and the sha256 of its weights")] = None
    notes: Annotated[tuple[str, ...], Meta(description="what was left out, and why")] = ()

    @property
    def columns(self) -> tuple[ColumnSpec, ...]:
        """What is read beside a text."""
        return next((rung.columns for rung in self.rungs if rung.columns), ())

    @property
    def plan_version(self) -> str:
        """Short hash of what decides the answers; the same training twice has the same one.

        Leaves out when it was made and what was measured: time stamps, accuracies and costs.
        """
        parts = [f"{self.format}", *self.labels]
        parts += [
            f"{r.name} {r.sha256} {r.temperature!r} {r.threshold!r} {r.familiarity!r} {r.features!r}"
            f" {r.pieces!r} {r.columns!r} {r.labels!r} {r.output}"
            for r in self.rungs
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def read_manifest(models_dir: Path) -> Manifest:
    """Read and check `manifest.json`. Raises: ManifestError, naming the file and the key."""
    path = models_dir / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise errors.ManifestError(path, "not found; make one with `takt train --out DIR`") from None
    except OSError as error:
        raise errors.ManifestError(path, f"cannot be read ({error.strerror})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.ManifestError(path, str(error)) from error
    if manifest.format != FORMAT:
        raise errors.ManifestError(path, f"key format: this version reads {FORMAT}, not {manifest.format}; train again")
    if not manifest.rungs or not manifest.labels:
        raise errors.ManifestError(path, "keys rungs and labels: at least one of each is needed; train again")
    own = {tuple((column.name, column.kind) for column in rung.columns) for rung in manifest.rungs if rung.columns}
    if len(own) > 1:
        raise errors.ManifestError(path, "key columns: all rungs that have them must have the same, in the same order")
    return manifest


def write_manifest(models_dir: Path, manifest: Manifest) -> None:
    """Write `manifest.json`, whole or not at all."""
    path = models_dir / MANIFEST_FILE
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    partial.replace(path)


def verify(path: Path, sha256: str) -> bytes:
    """The content of `path`. Raises: BadFile: missing, unreadable, or not the file that was trained."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise errors.BadFile(path, "not found") from None
    except OSError as error:
        raise errors.BadFile(path, f"cannot be read ({error.strerror})") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise errors.BadFile(path, f"sha256 is {found[:12]}…, the manifest says {sha256[:12]}…")
    return content
