from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from loadtest.conductor import _share_routes
from loadtest.record import MAX_ROUTES, OTHER_ROUTE, Recorder
from loadtest.run import WorkerHealth, open_run
from loadtest.sample import BAD_ANSWER, DEGRADED, NEVER, REASONS, RESET, RUNGS, SAMPLE, STAGES, empty
from tests.fabricated import fabricate

ORIGIN_NS = 1_000
ANSWER = {
    "decision_id": "01a203e5f94870f411dce3f536a22b41",
    "route": "loans",
    "target": {"kind": "queue", "name": "cards"},
    "rung": "large",
    "degraded": "none",
    "reason": "model",
    "budget": {"total_ms": 50, "elapsed_ms": 6.816, "stages_ms": {"parse": 0.134, "infer": 4.791, "made_up": 9}},
}


class Clock:
    def __init__(self) -> None:
        self.ns = ORIGIN_NS

    def __call__(self) -> int:
        return self.ns


def build(count: int = 3, **options: bool) -> tuple[Recorder, np.ndarray, Clock]:
    samples, clock = empty(count), Clock()
    recorder = Recorder(samples, clock, ["cards"], **options)
    recorder.origin_ns = ORIGIN_NS
    return recorder, samples, clock


def test_an_answer_is_written_field_by_field() -> None:
    recorder, samples, clock = build()
    clock.ns = ORIGIN_NS + 10
    recorder.paced(1)
    clock.ns = ORIGIN_NS + 20
    recorder.sent(1)
    recorder.answered(1, 30, 40, 200, msgspec.json.encode(ANSWER))
    row = samples[1]
    assert [int(row[name]) for name in ("paced_ns", "sent_ns", "first_ns", "done_ns", "status")] == [
        10,
        20,
        30,
        40,
        200,
    ]
    assert f"{int(row['decision_high']):016x}{int(row['decision_low']):016x}" == ANSWER["decision_id"]
    assert int(row["server_us"]) == 6_816
    assert dict(zip(STAGES, row["stages_us"].tolist(), strict=True)) == {
        **dict.fromkeys(STAGES, 0),
        "parse": 134,
        "infer": 4_791,
    }
    assert recorder.routes[int(row["route"])] == "loans"
    assert (RUNGS[row["rung"]], DEGRADED[row["degraded"]], REASONS[row["reason"]]) == ("large", "none", "model")
    untouched = empty(3)
    assert samples[0] == untouched[0]
    assert samples[2] == untouched[2]


def test_the_layout_of_the_struct_is_that_of_the_row() -> None:
    recorder, samples, _ = build(1)
    recorder.decided(0, 1, 2, 503, None)
    assert int(samples["status"][0]) == 503
    assert int(samples["route"][0]) == NEVER
    assert SAMPLE.itemsize % 8 == 0


def test_a_failure_has_an_end_and_no_first_byte() -> None:
    recorder, samples, clock = build()
    clock.ns = ORIGIN_NS + 70
    recorder.failed(0, RESET)
    assert (int(samples["first_ns"][0]), int(samples["done_ns"][0]), int(samples["status"][0])) == (NEVER, 70, RESET)


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"\xff\xfe", b"[]", b"{}", b'{"rung": "large"}', b'{"rung": 1, "degraded": "none"}'],
)
def test_a_200_that_is_no_answer_is_an_error(body: bytes) -> None:
    recorder, samples, _ = build()
    recorder.answered(0, 1, 2, 200, body)
    assert int(samples["status"][0]) == BAD_ANSWER


def test_where_any_answer_will_do_bodies_are_not_read() -> None:
    recorder, samples, _ = build(reads_answers=False)
    recorder.answered(0, 1, 2, 200, b"hello")
    assert (int(samples["status"][0]), RUNGS[samples["rung"][0]]) == (200, "")


@pytest.mark.parametrize("claimed_ms", [-1.0, -0.5, 1e12])
def test_a_server_that_lies_about_time_does_no_harm(claimed_ms: float) -> None:
    recorder, samples, _ = build()
    body = {**ANSWER, "decision_id": "no id", "rung": "new", "budget": {"elapsed_ms": claimed_ms, "stages_ms": {}}}
    recorder.answered(0, 1, 2, 200, msgspec.json.encode(body))
    assert int(samples["server_us"][0]) == NEVER
    assert int(samples["decision_high"][0]) == 0
    assert RUNGS[samples["rung"][0]] == "other"


def test_the_table_of_routes_is_bounded() -> None:
    recorder, samples, _ = build()
    for number in range(MAX_ROUTES + 50):
        recorder.answered(0, 1, 2, 200, msgspec.json.encode({**ANSWER, "route": f"r{number}"}))
    assert len(recorder.routes) == MAX_ROUTES + 1
    assert recorder.routes[int(samples["route"][0])] == OTHER_ROUTE


def test_everything_is_counted_once() -> None:
    recorder, _, _ = build()
    recorder.paced(0)
    recorder.sent(0)
    recorder.answered(0, 1, 2, 503, b"")
    recorder.paced(1)
    recorder.failed(1, RESET)
    counts = recorder.paced_total, recorder.sent_total, recorder.answered_total, recorder.failed_total
    assert counts == (2, 1, 1, 1)
    assert recorder.events_total == 5


def test_a_name_without_end_is_no_route() -> None:
    recorder, samples, _ = build()
    recorder.answered(0, 1, 2, 200, msgspec.json.encode({**ANSWER, "route": "x" * 10_000}))
    assert recorder.routes[samples["route"][0]] == OTHER_ROUTE


def test_an_answer_that_is_nested_without_end_is_none() -> None:
    """What is raised while an answer is read ends its connection, and the request would never be told of."""
    recorder, samples, _ = build()
    recorder.answered(0, 1, 2, 200, b'{"rung":"large","degraded":"none","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert samples["status"][0] == BAD_ANSWER


def test_the_routes_of_many_workers_are_bounded_too(tmp_path: Path) -> None:
    """Their numbers have 16 bits; a server that makes up names must not end a run."""
    workers = tuple(
        WorkerHealth(index=at, ended="done", routes=tuple(f"{at}-{name}" for name in range(MAX_ROUTES)))
        for at in range(10)
    )
    run = fabricate(tmp_path / "run", [1] * 10)
    made = open_run(run.path, writable=True)
    made.samples["route"] = 5
    names = _share_routes(made, workers)
    assert len(names) == MAX_ROUTES + 1
    assert [names[number] for number in made.samples["route"]] == ["0-5", *[OTHER_ROUTE] * 9]
