"""Load a directory of models: verify, build, warm up; refuse what can't be trusted."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from budgets.batch_cost import Sample
from models import errors
from models.classifier import Classifier, Scores
from models.inputs import Question
from models.session import CPU
from models.spec import Manifest, RungManifest, read_manifest, verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.columns import Value

_ROUNDS = 3
_CALL_SIZES, _CALLS_EACH, _LONG_CALL_NS = (1, 2, 4, 8), 6, 40_000_000
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
    """A rung ready to answer, and what an answer costs here: alone, and for calls of several texts."""

    classifier: Classifier
    p50_ns: int
    p99_ns: int
    profile: tuple[Sample, ...]


class LoadedModels(Struct, frozen=True, kw_only=True):
    """All rungs of a directory, in the manifest's order: the best last."""

    manifest: Manifest
    rungs: dict[str, LoadedRung]


def load(models_dir: Path, providers: Sequence[str] = CPU) -> LoadedModels:
    """Load and warm up every rung of `models_dir`.

    Args: providers: execution providers of onnxruntime, the preferred first.
    Raises: ManifestError, BadFile, BadOutput: with the file and what to do about it.
    """
    manifest = read_manifest(models_dir)
    rungs = {}
    for spec in manifest.rungs:
        graph = verify(models_dir / spec.file, spec.sha256)
        classifier = Classifier(manifest.labels, spec, models_dir, graph, providers)
        p50_ns, p99_ns = warm_up(classifier, models_dir)
        profile = (*_profile(classifier, models_dir),)
        rungs[spec.name] = LoadedRung(classifier=classifier, p50_ns=p50_ns, p99_ns=p99_ns, profile=profile)
    return LoadedModels(manifest=manifest, rungs=rungs)


def check(models_dir: Path) -> Manifest:
    """Verify every file of `models_dir` without loading any. Raises: ManifestError, BadFile."""
    manifest = read_manifest(models_dir)
    for rung in manifest.rungs:
        for file, sha256 in files_of(rung):
            verify(models_dir / file, sha256)
    return manifest


def files_of(rung: RungManifest) -> list[tuple[str, str]]:
    """The files that a rung names, each with its hash."""
    files = [(rung.file, rung.sha256)]
    if rung.fp32_file is not None and rung.fp32_sha256 is not None:
        files.append((rung.fp32_file, rung.fp32_sha256))
    if rung.pieces is not None:
        files.append((rung.pieces.file, rung.pieces.sha256))
    return files


def warm_up(classifier: Classifier, models_dir: Path) -> tuple[int, int]:
    """Answer sample texts; median and 99th percentile of the cost in ns. Raises: BadFile: an answer is no answer.

    Of each text the best of three rounds counts: beside a server under load this thread often waits for a core, which
    is no cost of the rung.
    """
    try:
        questions = [Question(text, _usual(classifier.spec)) for text in _WARM_UP_TEXTS]
        rounds = [ask(classifier, questions)[1] for _ in range(1 + _ROUNDS)]
    except (errors.BadOutput, errors.RunFailed) as error:
        raise errors.BadFile(models_dir / classifier.spec.file, f"fails at warm-up: {error}") from error
    return quantiles(np.min(rounds[1:], axis=0))  # the first fills the word cache and the runtime's arenas


def _profile(classifier: Classifier, models_dir: Path) -> Iterator[Sample]:
    """What calls of more and more texts cost, until a call keeps a thread too long. Raises: BadFile."""
    questions = [Question(text, _usual(classifier.spec)) for text in _WARM_UP_TEXTS]
    for texts in _CALL_SIZES:
        for first in range(0, len(questions) - texts + 1, max(texts, len(questions) // _CALLS_EACH)):
            asked = questions[first : first + texts]
            longest = max(len(question.text) for question in asked)
            try:
                cost_ns = min(_call_ns(classifier, asked) for _ in range(_ROUNDS))
            except (errors.BadOutput, errors.RunFailed) as error:
                raise errors.BadFile(models_dir / classifier.spec.file, f"fails at warm-up: {error}") from error
            yield Sample(texts, longest, cost_ns)
        if cost_ns > _LONG_CALL_NS:
            return


def _call_ns(classifier: Classifier, questions: Sequence[Question]) -> int:
    """What one call costs, from questions to predictions. Raises: BadOutput, RunFailed."""
    started_ns = perf_counter_ns()
    for answer in classifier.predict_many(questions):
        if isinstance(answer, Exception):
            raise answer
    return perf_counter_ns() - started_ns


def _usual(spec: RungManifest) -> tuple[Value, ...]:
    """A value of each column: a missing one would cost less."""
    return tuple(column.mean if column.words is None else column.words[0] for column in spec.columns)


def ask(classifier: Classifier, questions: Sequence[Question]) -> tuple[list[Scores], list[int]]:
    """Answers to one question at a time, and what each cost, from question to prediction, in ns.

    Raises: BadOutput, RunFailed.
    """
    answers, costs = [], []
    for question in questions:
        started_ns = perf_counter_ns()
        scores = classifier.scores(*question)
        classifier.interpret(scores)
        costs.append(perf_counter_ns() - started_ns)
        answers.append(scores)
    return answers, costs


def quantiles(costs: Sequence[int] | NDArray[np.int64]) -> tuple[int, int]:
    """Median and 99th percentile."""
    p50_ns, p99_ns = np.percentile(costs, (50, 99))
    return int(p50_ns), int(p99_ns)
