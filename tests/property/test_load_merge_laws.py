"""Merging loses no request and changes none."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.merge import merge
from loadtest.run import PhaseRecord
from loadtest.sample import NEVER
from loadtest.view import FOREVER_NS, OUTCOMES, view
from tests.fabricated import MS, S, fabricate, scenario

PHASES = (
    PhaseRecord(name="warmup", start_ns=0, end_ns=1 * S, measure=False),
    PhaseRecord(name="steady", start_ns=1 * S, end_ns=2 * S, measure=True),
)
REQUEST = st.tuples(
    st.sampled_from([NEVER, 1 * MS, 49 * MS, 51 * MS, 400 * MS]),
    st.sampled_from([200, 429, 500, -1]),
    st.integers(0, 2 * S - 1),
)
RUN = st.tuples(st.integers(0, 5 * S), st.lists(REQUEST, min_size=1, max_size=20))


@settings(max_examples=40, deadline=None)
@given(st.lists(RUN, min_size=1, max_size=4))
def test_requests_are_conserved(parts: list[tuple[int, list[tuple[int, int, int]]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for number, (wall_ns, requests) in enumerate(parts):
            latency, status, intended = map(np.array, zip(*requests, strict=True))
            runs.append(
                fabricate(
                    Path(folder) / str(number),
                    latency,
                    status=status,
                    intended_ns=intended,
                    phases=PHASES,
                    phase=intended // S,
                    of=scenario(2, seed=number),
                    id=str(number),
                    origin_wall_ns=wall_ns,
                    ended_ns=3 * S,
                )
            )
        whole = merge(runs, Path(folder) / "whole")
        seen, before = view(whole), [view(run) for run in runs]
        counts = Counter[str]()
        for each in before:
            counts.update(each.counts())
        assert seen.counts() == {name: counts[name] for name in OUTCOMES}
        assert sum(seen.counts().values()) == sum(len(requests) for _, requests in parts)
        latencies = np.sort(np.concatenate([each.latency_ns for each in before]))
        assert (np.sort(seen.latency_ns) == latencies).all()
        assert (seen.latency_ns == FOREVER_NS).sum() == (latencies == FOREVER_NS).sum()
        assert len(seen.on("all")) == sum(len(each.on("all")) for each in before)
        for at, phase in enumerate(whole.record.phases):
            inside = whole.planned["intended_ns"][whole.planned["phase"] == at]
            assert ((phase.start_ns <= inside) & (inside < phase.end_ns)).all()
