"""The echo server's parts: exact times, service one at a time, its books."""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random

import numpy as np
import pytest

from loadtest.echo.agenda import Agenda
from loadtest.echo.server import Echo
from loadtest.echo.settings import EchoSettings
from loadtest.echo.truth import NO_ROW, TRUTH, Truth, read_truth, row_of
from loadtest.errors import LoadtestError, ScenarioError
from loadtest.quantity import MS, S
from tests import virtual


def test_calls_are_made_within_one_turn_of_the_loop_although_timers_are_not() -> None:
    loop = virtual.VirtualLoop(jitter=Random(3), callback_ns=lambda: 5_000)
    due_ns = [round(gap_ms * MS) for gap_ms in np.random.default_rng(1).exponential(7, 300).cumsum()]
    made: list[tuple[int, int]] = []

    async def main(loop: virtual.VirtualLoop) -> None:
        agenda = Agenda(loop.clock.now_ns, loop)
        for each in reversed(due_ns):
            agenda.at(each, partial(lambda due: made.append((due, loop.clock.now_ns())), each))
        await asyncio.sleep(due_ns[-1] / S + 1)

    virtual.run(main, loop)
    assert [due for due, _ in made] == due_ns
    assert max(now - due for due, now in made) <= 20_000
    assert min(now - due for due, now in made) >= 0


def test_calls_of_the_same_time_keep_their_order() -> None:
    made: list[int] = []

    async def main(loop: virtual.VirtualLoop) -> None:
        agenda = Agenda(loop.clock.now_ns, loop)
        for number in range(5):
            agenda.at(0, partial(made.append, number))
        await asyncio.sleep(0.1)

    virtual.run(main)
    assert made == [0, 1, 2, 3, 4]


def echo(**settings: object) -> Echo:
    loop = asyncio.new_event_loop()
    try:
        return Echo(EchoSettings(**settings), lambda: 0, loop)  # type: ignore[arg-type]
    finally:
        loop.close()


def test_a_parallel_server_delays_each_by_itself() -> None:
    assert [echo(delay="5ms").due_ns(at_ns) for at_ns in (0, 1, 2)] == [5 * MS, 5 * MS + 1, 5 * MS + 2]


def test_a_serial_server_is_a_queue() -> None:
    """Lindley's recursion on the same draws."""
    arrivals_ns = np.random.default_rng(2).exponential(2.5 * MS, 10_000).cumsum().astype(np.int64)
    serial, parallel = echo(delay="exp(2ms)", serial=True, seed=4), echo(delay="exp(2ms)", seed=4)
    free_ns = 0
    for at_ns in arrivals_ns.tolist():
        service_ns = parallel.due_ns(at_ns) - at_ns
        free_ns = max(free_ns, at_ns) + service_ns
        assert serial.due_ns(at_ns) == free_ns


def test_errors_have_their_share() -> None:
    failing = echo(error_share=0.25)
    found = [failing.status() for _ in range(8_000)]
    assert set(found) == {200, 500}
    assert 1_800 < found.count(500) < 2_200  # 5 sigmas
    assert echo().status() == 200


def test_a_delay_that_is_none_is_told() -> None:
    with pytest.raises(ScenarioError, match="5 apples"):
        echo(delay="5 apples")


@pytest.mark.parametrize(
    ("body", "row"),
    [
        (b'{"id":"0badcafe-000000042","text":"x"}', 42),
        (b'{"id":"0badcafe-1234567890"}', 1_234_567_890),
        (b'{"text":"x"}', NO_ROW),
        (b'{"id":"mine"}', NO_ROW),
        (b"", NO_ROW),
    ],
)
def test_the_row_is_read_from_the_id(body: bytes, row: int) -> None:
    assert row_of(body) == row


def test_books_come_back_as_they_were_written() -> None:
    truth = Truth()
    truth.note(7, 10, 20)
    truth.note(NO_ROW, 11, 30)
    read = read_truth(truth.dump())
    assert read.dtype == TRUTH
    assert read.tolist() == [(7, 10, 20), (NO_ROW, 11, 30)]


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x93NUMPY\x01\x00"])
def test_books_of_another_server_are_refused(data: bytes) -> None:
    with pytest.raises(LoadtestError, match="/truth"):
        read_truth(data)
