"""semantic-router, asked from outside: runs in an environment of its own, knows nothing of Takt.

`python peer_semantic_router.py ENCODER_DIR`, then one JSON job a line on stdin and one JSON answer a line on stdout.

Fitted as its documentation recommends (quick start and "Calibration and thresholds" of 1.x): the examples are the
utterances of the routes, `fit` calibrates on labelled queries that are no utterances (None: no route), an
`IndexedRouter` is called with one text at a time. `fit` learns confidences and never changes which route is first, so
the router that is tested has all examples as utterances and the calibrator fitted before.

A text is encoded once for each job, the test texts once for all: the same vectors, and minutes instead of hours.
The cost of a call is measured on texts that are encoded anew.
"""

from __future__ import annotations

import json
import sys
from collections import ChainMap
from importlib.metadata import version
from time import perf_counter, perf_counter_ns
from typing import Any

# Neither is there where the types are checked.
from semantic_router import IndexedRouter, Route  # type: ignore[import-not-found]
from semantic_router.encoders import HuggingFaceEncoder  # type: ignore[import-not-found]

_TIMED_CALLS = 200
_UNTIMED_CALLS = 10


class Encoder:
    """What the router asks for vectors; remembers them between `forget` calls."""

    def __init__(self, directory: str) -> None:
        self._encode = HuggingFaceEncoder(name=directory)
        self._test: dict[str, list[float]] = {}
        self._known: ChainMap[str, list[float]] = ChainMap({}, self._test)
        self.is_remembering = True

    def __call__(self, texts: list[str]) -> Any:
        if not self.is_remembering:
            return self._encode(texts)
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            self._known.update(zip(new, self._encode(new), strict=True))
        return [self._known[text] for text in texts]

    def forget(self, test: list[str]) -> None:
        """Forget all but test texts; know those of `test`."""
        new = [text for text in dict.fromkeys(test) if text not in self._test]
        if new:
            self._test.update(zip(new, self._encode(new), strict=True))
        self._known.maps[0].clear()


def make(encoder: Encoder, rows: list[tuple[str, str]], **settings: Any) -> IndexedRouter:
    """A router with `rows` of (text, route) as its utterances."""
    utterances: dict[str, list[str]] = {}
    for text, route in rows:
        utterances.setdefault(route, []).append(text)
    routes = [Route(name=name, utterances=texts) for name, texts in utterances.items()]
    return IndexedRouter(encoder=encoder, routes=routes, **settings)


def fit(encoder: Encoder, job: dict[str, Any]) -> tuple[IndexedRouter, str]:
    """The router to test, and its aggregation: where several are given, the one that `evaluate` finds best."""
    texts, truth = zip(*job["checked"], strict=True)
    routers = {name: make(encoder, job["kept"], aggregation=name) for name in job["aggregations"]}
    best = job["aggregations"][0]
    if len(routers) > 1:
        best = max(routers, key=lambda name: routers[name].evaluate(X=texts, y=truth))
    routers[best].fit(X=texts, y=truth)
    return make(encoder, job["train"], aggregation=best, calibrator=routers[best].calibrator), best


def answer(encoder: Encoder, job: dict[str, Any]) -> dict[str, Any]:
    """Fit on one job's examples, choose a route for each of its test texts, measure some calls."""
    encoder.forget(job["test"])
    started = perf_counter()
    router, aggregation = fit(encoder, job)
    train_s = perf_counter() - started
    choices = [router(text) for text in job["test"]]
    encoder.is_remembering = False
    costs_ns = [cost_ns(router, text) for text in job["test"][:: max(1, len(job["test"]) // _TIMED_CALLS)]]
    encoder.is_remembering = True
    return {
        "answers": [choice.name for choice in choices],
        "confidences": [choice.confidence for choice in choices],
        "train_s": train_s,
        "costs_ns": costs_ns[_UNTIMED_CALLS:],
        "version": f"semantic-router {version('semantic-router')}, transformers {version('transformers')},"
        f" torch {version('torch')}, {aggregation} of the nearest 5",
    }


def cost_ns(router: IndexedRouter, text: str) -> int:
    started_ns = perf_counter_ns()
    router(text)
    return perf_counter_ns() - started_ns


def main() -> None:
    """Answer until stdin ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    encoder = Encoder(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(answer(encoder, json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
