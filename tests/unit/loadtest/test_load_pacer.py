from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable

import numpy as np
import pytest

from loadtest.pacer import Pacer
from loadtest.record import Recorder
from loadtest.sample import empty
from tests.virtual import MS, S, VirtualLoop, run

TIMES = np.sort(np.random.default_rng(3).integers(0, 2 * S, 500))


def pace(
    times: np.ndarray, rows: range | None = None, cost_ns: int = 0, stop_at_s: float | None = None
) -> tuple[list[tuple[int, int]], Pacer]:
    """What was handed over and when, in virtual time. Args: cost_ns: of each `send`."""
    sent: list[tuple[int, int]] = []

    async def main(loop: VirtualLoop) -> Pacer:
        recorder = Recorder(empty(len(times)), loop.clock.now_ns)

        def send(row: int) -> None:
            sent.append((row, recorder.now_ns()))
            recorder.paced(row)
            loop.spend(cost_ns)

        pacer = Pacer(rows or range(len(times)), array("q", times.tolist()), send, recorder, spin_ns=0)
        stop = asyncio.Event()
        if stop_at_s is not None:
            loop.call_later(stop_at_s, stop.set)
        await pacer.run(stop)
        return pacer

    return sent, run(main)


def test_every_request_is_handed_over_at_its_time() -> None:
    sent, _ = pace(TIMES)
    assert [row for row, _ in sent] == list(range(len(TIMES)))
    assert [at - due for (_, at), due in zip(sent, TIMES.tolist(), strict=True)] == pytest.approx([0] * 500, abs=2)


def test_a_worker_sends_its_own_rows_alone() -> None:
    sent, _ = pace(TIMES, range(1, 500, 3))
    assert [row for row, _ in sent] == list(range(1, 500, 3))


def test_who_is_behind_leaves_nothing_out() -> None:
    sent, _ = pace(TIMES, cost_ns=8 * MS)  # twice what there is time for
    assert [row for row, _ in sent] == list(range(len(TIMES)))
    assert sent[-1][1] - TIMES[-1] > S


def test_requests_of_one_moment_go_together() -> None:
    sent, _ = pace(np.full(100, 5 * MS))
    assert {at for _, at in sent} == {5 * MS}


@pytest.mark.parametrize("stop_at_s", [0.0, 0.5])
def test_after_stop_nothing_is_sent(stop_at_s: float) -> None:
    sent, _ = pace(TIMES, stop_at_s=stop_at_s)
    assert len(sent) == pytest.approx(int((stop_at_s * S > TIMES).sum()), abs=1)


def spinning(turn_ns: int, answer_every: int) -> tuple[int, int]:
    """Time spent spinning, and in all, where turns of the loop cost `turn_ns` and every so many brings an answer."""
    turns = 0

    def cost_ns() -> int:
        nonlocal turns
        turns += 1
        if answer_every and turns % answer_every == 0:
            recorder.answered_total += 1
        return turn_ns

    loop = VirtualLoop(callback_ns=cost_ns)
    recorder = Recorder(empty(1), loop.clock.now_ns)

    async def main(_: VirtualLoop) -> int:
        handed: Callable[[int], None] = recorder.paced
        pacer = Pacer(range(1), array("q", [20 * MS]), handed, recorder, spin_ns=40 * MS, cpu_ns=loop.clock.now_ns)
        await pacer.run(asyncio.Event())
        return pacer.spin_ns

    return run(main, loop), loop.clock.now_ns()


def test_turns_in_which_nothing_happens_are_spinning() -> None:
    spun_ns, took_ns = spinning(100_000, 0)
    assert 0.9 * took_ns < spun_ns <= took_ns


def test_turns_that_read_answers_are_work() -> None:
    spun_ns, took_ns = spinning(100_000, 1)
    assert spun_ns < 0.1 * took_ns


def test_an_engine_that_fails_ends_the_run() -> None:
    """A loop would log it, and wait for ever."""

    def send(_: int) -> None:
        raise ZeroDivisionError

    async def main(loop: VirtualLoop) -> None:
        recorder = Recorder(empty(2), loop.clock.now_ns)
        await Pacer(range(2), array("q", [MS, 2 * MS]), send, recorder, spin_ns=0).run(asyncio.Event())

    with pytest.raises(ZeroDivisionError):
        run(main)
