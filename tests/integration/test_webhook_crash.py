"""Webhooks after kill -9: every event of an acknowledged command is told, in order, and few of them twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvloop
from aiohttp import web

from budgets.clock import SystemClock
from router.assign.command import CancelTask, CreateTask
from router.assign.policy import Policy, QueuePolicy
from router.desk.desk import Desk
from router.log import GroupJournal, GroupLog, LogSettings, SqliteStore
from router.queues import compile_condition
from router.telemetry.registry import Metrics
from router.webhooks.hub import WebhookHub
from router.webhooks.journal import JournalLog, behind
from router.webhooks.settings import WebhookSettings
from tests.hooks import SECRET
from tests.http_server import LoopThread
from tests.receivers import Receiver

if TYPE_CHECKING:
    from tests.receivers import Got

pytestmark = pytest.mark.integration
CRASHES = int(os.environ.get("TAKT_WEBHOOK_CRASHES", "2"))
# A cursor is written half a second after it moved; the rest is for a machine that does other things.
REPEATED_WITHIN_S = 2.0


async def _serve(path: str, url: str, first: int) -> None:
    """The child: two commands a task, told on stdout when they are acknowledged; with `first` -1 it only delivers."""
    clock, settings = SystemClock(), LogSettings(path=path)
    store = SqliteStore(settings, clock)
    log = GroupLog(store, settings, clock)
    await log.start()
    journal = GroupJournal(log.writer, store.commands)
    desk = Desk(journal, clock, Policy(queues={"desk": QueuePolicy(most=100_000)}), compile_condition)
    await desk.start()
    webhook = WebhookSettings(url=url, secrets=(SECRET,), types=("*",), first_retry_s=0.02, longest_retry_s=0.1)
    hub = WebhookHub({"crm": webhook}, clock, random.Random(1), Metrics())
    await hub.start(JournalLog(journal), behind(0))
    desk.subscribe(hub.wake)
    _tell("ready")
    while first >= 0:
        names = [f"t{number}" for number in range(first, first + 5)]
        await asyncio.gather(*(desk.submit(CreateTask(id=name, queue="desk")) for name in names))
        await asyncio.gather(*(desk.submit(CancelTask(task_id=name)) for name in names))
        _tell(*names)
        first += 5
        await asyncio.sleep(0.01)  # the pace of the load, not a wait for a result
    await asyncio.Event().wait()


def _tell(*words: str) -> None:
    os.write(1, (" ".join(words) + "\n").encode())


def _start(path: Path, url: str, first: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.test_webhook_crash", str(path), url, str(first)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def _crash(path: Path, url: str, first: int, after_s: float) -> list[str]:
    """Kill the child at some moment; returns the tasks whose commands it had acknowledged."""
    with _start(path, url, first) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(after_s)
        child.kill()
        said = child.stdout.read()
    whole = said[: said.rfind("\n") + 1]
    return whole.split()


def test_nothing_acknowledged_is_kept_from_a_receiver(tmp_path: Path) -> None:
    thread, rng = LoopThread(), random.Random(5)
    receiver = Receiver(thread)
    times: list[tuple[float, str]] = []

    def answer(got: Got) -> web.Response:
        is_taken = rng.random() > 0.05
        if is_taken:
            times.append((time.monotonic(), got.json["id"]))
        return web.Response(status=204 if is_taken else 500)

    receiver.answer = answer
    url, path = f"http://127.0.0.1:{receiver.port}/", tmp_path / "takt.sqlite"
    acknowledged: list[str] = []
    kills: list[float] = []
    for number in range(CRASHES):
        acknowledged += _crash(path, url, number * 1_000_000, rng.uniform(0.3, 2.5))
        kills.append(time.monotonic())
    assert len(acknowledged) > 50
    with _start(path, url, -1) as child:
        wanted = {(name, kind) for name in acknowledged for kind in ("task.queued", "task.canceled")}
        receiver.wait(lambda got: wanted <= {(each.json["subject"], each.json["type"]) for each in got})
        time.sleep(0.5)  # for repeats, if there are any more
        child.kill()
    receiver.close()
    thread.stop()
    _check_order(receiver.got)
    first = {event_id: at_s for at_s, event_id in reversed(times)}
    for event_id, count in Counter(event_id for _, event_id in times).items():
        last_words = [kill for kill in kills if 0 <= kill - first[event_id] <= REPEATED_WITHIN_S]
        assert count - 1 <= len(last_words), event_id


def _check_order(got: list[Got]) -> None:
    """The first time that each event of a subject is told is in the order of `seq`."""
    seqs: dict[str, list[int]] = {}
    for each in got:
        event = json.loads(each.body)
        known = seqs.setdefault(event["subject"], [])
        if event["seq"] not in known:
            known.append(event["seq"])
    assert all(known == sorted(known) for known in seqs.values())


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
