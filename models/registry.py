"""Load a directory of models: verify, build, warm up; refuse what can't be trusted."""

from __future__ import annotations

import hashlib
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from models import errors
from models.classifier import Classifier
from models.spec import Manifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_WARM_UP_TEXTS = (
    "my card has not arrived",
    "I want to talk to a real person",
    "what is the exchange rate for euros today?",
    "ich möchte meine Karte sperren lassen",
    "the cash machine kept my card and I need it back before the weekend",
    "how do i change my pin",
    "¿Dónde está mi pedido?",
    "please cancel the order I made five minutes ago, it went to the wrong address",
    "hello",
    "why was i charged twice for the same thing",
    "book a table for four at seven",
    "转账失败了",
    "is there a fee for topping up with a foreign card",
    "thank you!!! 🎉",
    "can you remind me to call my mother tomorrow at noon",
    "",
    "1234 5678",
    "THE APP CRASHES EVERY TIME I OPEN IT",
    "what documents do I need to send in to have my identity verified, and how long will it take",
    "where is the nearest branch",
)


class LoadedRung(Struct, frozen=True, kw_only=True):
    """A rung ready to answer, and what an answer costs here."""

    classifier: Classifier
    p50_ns: int
    p99_ns: int


class LoadedModels(Struct, frozen=True, kw_only=True):
    """All rungs of a directory, in the manifest's order: the best last."""

    manifest: Manifest
    rungs: dict[str, LoadedRung]


def load(models_dir: Path) -> LoadedModels:
    """Load and warm up every rung of `models_dir`.

    Raises: ManifestError, BadFile, BadOutput: with the file and what to do about it.
    """
    manifest = read_manifest(models_dir)
    rungs = {}
    for spec in manifest.rungs:
        graph = verify(models_dir / spec.file, spec.sha256)
        classifier = Classifier(manifest.labels, spec, models_dir, graph)
        p50_ns, p99_ns = warm_up(classifier, models_dir)
        rungs[spec.name] = LoadedRung(classifier=classifier, p50_ns=p50_ns, p99_ns=p99_ns)
    return LoadedModels(manifest=manifest, rungs=rungs)


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


def warm_up(classifier: Classifier, models_dir: Path) -> tuple[int, int]:
    """Answer sample texts; median and 99th percentile of the cost in ns. Raises: BadFile: an answer is no answer."""
    try:
        measure(classifier, _WARM_UP_TEXTS)  # fills the word cache and the runtime's arenas
        return measure(classifier, _WARM_UP_TEXTS)
    except (errors.BadOutput, errors.RunFailed) as error:
        raise errors.BadFile(models_dir / classifier.spec.file, f"fails at warm-up: {error}") from error


def measure(classifier: Classifier, texts: Sequence[str]) -> tuple[int, int]:
    """Median and 99th percentile of text to prediction over `texts`, in ns. Raises: BadOutput, RunFailed."""
    costs = []
    for text in texts:
        started_ns = perf_counter_ns()
        classifier.predict(text)
        costs.append(perf_counter_ns() - started_ns)
    p50_ns, p99_ns = np.percentile(costs, (50, 99))
    return int(p50_ns), int(p99_ns)
