"""Idempotency-Key: who repeats a request gets the first answer again."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.http_project import SURE_TEXT
from tests.http_server import PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http.conftest import Blunders, MakeConfig
    from tests.http_server import LoopThread, Reply, Running

ORIGIN = "https://shop.example"
_NUMBERS = itertools.count()


@pytest.fixture
def key() -> Iterator[dict[str, str]]:
    yield {"Idempotency-Key": f"key-{next(_NUMBERS)}"}


def _same(one: Reply, other: Reply) -> bool:
    return one.status == other.status == 200 and one.body == other.body


def test_the_same_request_gets_the_same_decision(server: Running, key: dict[str, str]) -> None:
    first, second = (server.post({"text": SURE_TEXT}, key) for _ in range(2))
    assert _same(first, second)
    for name in ("X-Route-Rung", "X-Route-Degraded", "Server-Timing", "Content-Type"):
        assert first.headers.get_all(name) == second.headers.get_all(name)
        assert len(first.headers.get_all(name) or []) == 1


def test_another_body_under_the_same_key_is_refused(server: Running, key: dict[str, str]) -> None:
    server.post({"text": SURE_TEXT}, key)
    detail = server.post({"text": "another"}, key).problem(422, "idempotency-key-reused")
    assert "Idempotency-Key" in detail
    packed = server.ask("POST", PATH, b"\x81\xa4text\xa1x", {**key, "Content-Type": "application/msgpack"})
    packed.problem(422, "idempotency-key-reused")


def test_another_key_gets_another_decision(server: Running, key: dict[str, str]) -> None:
    one = server.post({"text": SURE_TEXT}, key)
    other = server.post({"text": SURE_TEXT}, {"Idempotency-Key": key["Idempotency-Key"] + "x"})
    assert one.json()["decision_id"] != other.json()["decision_id"]


@pytest.mark.parametrize("refused", [{"text": ""}, {"text": "a", "budget_ms": 0}])
def test_what_was_refused_is_not_kept(server: Running, key: dict[str, str], refused: dict[str, object]) -> None:
    assert server.post(refused, key).status in {400, 504}
    assert server.post({"text": SURE_TEXT}, key).status == 200


def test_those_who_repeat_while_the_first_is_under_way_get_its_decision(slow: Running, key: dict[str, str]) -> None:
    body = json.dumps({"text": SURE_TEXT}).encode()
    with ThreadPoolExecutor(5) as pool:
        replies = list(pool.map(lambda _: slow.post(body, key), range(5)))
    assert all(_same(replies[0], reply) for reply in replies)
    assert all(reply.headers.get_all("Content-Length") == [str(len(reply.body))] for reply in replies)


def test_those_who_wait_for_one_that_is_refused_are_refused_alike(
    loop_thread: LoopThread, make_config: MakeConfig, key: dict[str, str]
) -> None:
    with loop_thread.serving(make_config()) as server, ThreadPoolExecutor(3) as pool:
        server.app.pipeline.admission.draining = True
        for reply in pool.map(lambda _: server.post({"text": SURE_TEXT}, key), range(3)):
            reply.problem(503, "rejected-draining")
        server.app.pipeline.admission.draining = False
        assert server.post({"text": SURE_TEXT}, key).status == 200


def test_those_who_wait_for_one_that_fails_are_told_and_may_try_again(
    slow: Running, key: dict[str, str], monkeypatch: pytest.MonkeyPatch, blunders: Blunders
) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch, ThreadPoolExecutor(3) as pool:
        patch.setattr(slow.app.pipeline, "finish", explode)
        replies = pool.map(lambda _: slow.post({"text": SURE_TEXT}, key), range(3))
        codes = sorted(reply.json()["code"] for reply in replies)
    assert codes == ["internal"] * 3
    assert len(blunders.seen) == 3
    blunders.seen.clear()
    assert slow.post({"text": SURE_TEXT}, key).status == 200


@pytest.mark.parametrize("value", ["", "x" * 257])
def test_a_key_has_1_to_256_characters(server: Running, value: str) -> None:
    detail = server.post({"text": SURE_TEXT}, {"Idempotency-Key": value}).problem(400, "malformed")
    assert detail.startswith("Idempotency-Key")


@pytest.mark.parametrize("value", ["x" * 256, "\xff\xfe", "a b,c;d"])
def test_a_key_may_be_anything_else(server: Running, value: str) -> None:
    replies = [server.post({"text": SURE_TEXT}, {"Idempotency-Key": value}) for _ in range(2)]
    assert _same(*replies)


def test_what_was_true_of_the_first_connection_is_not_repeated_to_the_second(
    server: Running, key: dict[str, str]
) -> None:
    first = server.post({"text": SURE_TEXT}, {**key, "Origin": ORIGIN, "Connection": "close"})
    second = server.post({"text": SURE_TEXT}, key)
    assert _same(first, second)
    assert first.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert first.headers["Connection"] == "close"
    assert "Access-Control-Allow-Origin" not in second.headers
    assert "Connection" not in second.headers


def test_the_table_is_bounded_and_forgets_the_oldest(loop_thread: LoopThread, make_config: MakeConfig) -> None:
    with loop_thread.serving(make_config(idempotency_entries="2")) as server:
        first = server.post({"text": SURE_TEXT}, {"Idempotency-Key": "1"})
        for number in "23":
            server.post({"text": SURE_TEXT}, {"Idempotency-Key": number})
        again = server.post({"text": SURE_TEXT}, {"Idempotency-Key": "1"})
    assert again.json()["decision_id"] != first.json()["decision_id"]
