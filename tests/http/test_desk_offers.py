"""/v1/offers: one of those who are asked has the task, and each is told what became of his offer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.http_desk import Floor


def _race(floor: Floor, size: int) -> tuple[Any, list[str]]:
    """A task that is offered to several, each with a hold on it."""
    names = [f"r{number}.{floor.line}" for number in range(size)]
    for name in names:
        floor.do("PUT", f"/v1/resources/{name}", {"queues": ["race"], "channels": {"chat": {}}})
        floor.post(f"/v1/resources/{name}/presence", {"presence": "available"})
    task = floor.post("/v1/tasks", {"queue": "race"})
    assert sorted(task["offered_to"]) == sorted(names)
    return task, names


def _clear(floor: Floor, names: list[str], task: Any) -> None:
    """The queue is shared: leave nobody in it."""
    for name in names:
        floor.post(f"/v1/resources/{name}/presence", {"presence": "offline"})
    floor.ask("POST", f"/v1/tasks/{task['id']}/cancel", {})


def test_an_accepted_offer_is_an_assignment(floor: Floor) -> None:
    ana = floor.agent("ana")
    task, offer = floor.offered()
    first = floor.ask("POST", f"/v1/offers/{offer}/accept", {"resource_id": ana})
    again = floor.ask("POST", f"/v1/offers/{offer}/accept", {"resource_id": ana})
    assert (first.status, again.status) == (200, 200)
    assert again.headers["Idempotent-Replay"] == "true"
    assert first.json()["offer"]["state"] == "accepted"
    assert first.json()["task"]["assignment"] == again.json()["task"]["assignment"]
    assert first.json()["task"]["id"] == task["id"]
    floor.ask("POST", f"/v1/offers/{offer}/decline", {}).problem(409, "lost_race")


def test_a_declined_offer_is_another_ones(floor: Floor) -> None:
    floor.agent("ana")
    ben = floor.agent("ben", presence="busy")
    _, offer = floor.offered()
    floor.post(f"/v1/resources/{ben}/presence", {"presence": "available"})
    declined = floor.post(f"/v1/offers/{offer}/decline", {"reason": "lunch"})
    assert (declined["offer"]["state"], declined["offer"]["reason"]) == ("declined", "lunch")
    assert declined["task"]["offered_to"] == [ben]
    assert floor.ask("POST", f"/v1/offers/{offer}/decline", {}).headers["Idempotent-Replay"] == "true"
    floor.ask("POST", f"/v1/offers/{offer}/accept", {}).problem(409, "lost_race")


def test_of_a_parallel_offer_one_wins(floor: Floor) -> None:
    task, names = _race(floor, 6)
    offers = {each["resource_id"]: each["id"] for each in task["offers"]}
    with ThreadPoolExecutor(len(names)) as pool:
        replies = list(pool.map(lambda name: floor.ask("POST", f"/v1/offers/{offers[name]}/accept", {}), names))
    statuses = sorted(reply.status for reply in replies)
    assert statuses == [200, 409, 409, 409, 409, 409]
    (winner,) = (name for name, reply in zip(names, replies, strict=True) if reply.status == 200)
    for reply in replies:
        if reply.status != 200:
            reply.problem(409, "lost_race")
    told = floor.do("GET", f"/v1/tasks/{task['id']}")
    assert (told["state"], told["resource_id"]) == ("assigned", winner)
    used = {name: floor.do("GET", f"/v1/resources/{name}")["used"] for name in names}
    assert used == {name: int(name == winner) for name in names}
    _clear(floor, names, task)


def test_an_offer_of_an_ended_session_is_stale(floor: Floor) -> None:
    ana = floor.agent("ana")
    _, offer = floor.offered()
    floor.ask("POST", f"/v1/offers/{offer}/accept", {"fence": 999}).problem(412, "stale_fence")
    floor.post(f"/v1/resources/{ana}/presence", {"presence": "available", "session": "another"})
    floor.ask("POST", f"/v1/offers/{offer}/accept", {}).problem(409, "lost_race")


def test_an_offer_to_another_is_not_ones_own(floor: Floor) -> None:
    floor.agent("ana")
    ben = floor.agent("ben", presence="busy")
    _, offer = floor.offered()
    reply = floor.ask("POST", f"/v1/offers/{offer}/accept", {"resource_id": ben})
    assert reply.status in {403, 404, 409}, reply.body


def test_what_is_no_offer(floor: Floor) -> None:
    floor.agent("ana")
    _, offer = floor.offered()
    for name in ("nobody-1", f"{offer}0", "x", offer.rpartition("-")[0]):
        floor.ask("POST", f"/v1/offers/{name}/accept", {}).problem(404, "not-found")
        floor.ask("POST", f"/v1/offers/{name}/decline", {}).problem(404, "not-found")
    floor.ask("POST", f"/v1/offers/{offer}/accept", {"fence": "1"}).problem(400, "malformed")
    floor.ask("POST", f"/v1/offers/{offer}/decline", {"reason": "x" * 257}).problem(400, "malformed")
    assert floor.ask("POST", f"/v1/offers/{offer}/accept", b"").status == 200


def test_a_repeat_under_its_key_is_answered_after_all_has_changed(floor: Floor) -> None:
    floor.agent("ana")
    _, offer = floor.offered()
    key = {"Idempotency-Key": f"accept-{floor.line}"}
    first = floor.do("POST", f"/v1/offers/{offer}/accept", {}, key)
    floor.post(f"/v1/tasks/{first['task']['id']}/requeue", {"is_excluding": True})
    again = floor.ask("POST", f"/v1/offers/{offer}/accept", {}, key)
    assert (again.status, again.headers["Idempotent-Replay"]) == (200, "true")
    assert again.json()["offer"]["state"] == "accepted"
