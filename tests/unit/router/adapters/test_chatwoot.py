"""Chatwoot: payloads in its documentation's words, against the engine itself, and the calls that come of it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from router.adapters import chatwoot
from router.adapters.chatwoot import Assignments, Conversation, MessageEvent, WebhookEvent, is_authentic
from router.adapters.desk import AgentOffline, UnknownAgent
from router.adapters.hub import AdapterHub, Chatwoot
from router.adapters.settings import AdapterSettings, ChatwootSettings
from router.assign.command import Accept, PutResource, RequeueTask, SetPresence
from router.assign.entity import ChannelLimit
from router.assign.policy import Policy, QueuePolicy
from router.assign.transition import TaskState
from router.http import codec
from router.http.settings import ServerSettings
from tests import virtual
from tests.desks import opened
from tests.hooks import event

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from router.adapters.desk import Report
    from router.assign.entity import Task
    from router.assign.event import Event
    from router.desk.desk import Desk
    from router.webhooks.message import Call
    from tests.virtual import VirtualLoop

SECRET = "0123456789abcdefghij"
S = 10**9
POLICY = Policy(queues={"support": QueuePolicy(), "billing": QueuePolicy()})
SETTINGS = ChatwootSettings(
    url="https://chat.example/",
    account=3,
    api_token="an access token of Chatwoot",
    queue="support",
    secret=SECRET,
    inboxes={"12": "billing"},
    channels={"Channel::Email": "email"},
)


def conversation(number: int = 41, status: str = "open", assignee: int | None = None, **more: Any) -> dict[str, Any]:
    """The fields of a conversation as webhooks have them, with some that Takt has no use for."""
    user = {"id": assignee, "name": "An Agent", "email": "agent@chat.example", "type": "user"}
    return {
        "additional_attributes": {"browser": {"browser_name": "Firefox"}, "referer": "https://shop.example/"},
        "can_reply": True,
        "channel": "Channel::WebWidget",
        "id": number,
        "inbox_id": 7,
        "contact_inbox": {"id": 5, "contact_id": 9, "inbox_id": 7, "source_id": "abc"},
        "messages": [],
        "labels": ["vip"],
        "meta": {
            "sender": {"id": 9, "name": "A Customer", "email": None, "type": "contact"},
            "assignee": None if assignee is None else user,
            "hmac_verified": False,
        },
        "status": status,
        "priority": None,
        "unread_count": 1,
        "timestamp": 1_763_800_000,
        **more,
    }


def opens(kind: str = chatwoot.CREATED, **more: Any) -> dict[str, Any]:
    return {"event": kind, **conversation(**more)}


def assigned(number: int, assignee: int | None) -> dict[str, Any]:
    changed = [{"assignee_id": {"previous_value": None, "current_value": assignee}}]
    return {"event": chatwoot.UPDATED, "changed_attributes": changed, **conversation(number, assignee=assignee)}


def message(kind: str | int = "incoming", **more: Any) -> dict[str, Any]:
    return {
        "event": chatwoot.MESSAGE,
        "id": 77,
        "content": "Hello?",
        "message_type": kind,
        "content_type": "text",
        "sender": {"id": 9, "name": "A Customer", "type": "contact"},
        "account": {"id": 3, "name": "Shop"},
        "inbox": {"id": 7, "name": "Website"},
        "conversation": conversation(**more),
    }


class Side:
    """Chatwoot as it is seen from Takt: what it tells, and what it is called for."""

    def __init__(self, desk: Desk, adapter: Chatwoot, loop: VirtualLoop) -> None:
        self.desk, self.adapter, self.loop = desk, adapter, loop
        self.calls: list[tuple[str, Any]] = []
        desk.subscribe(self._told)

    def _told(self, events: tuple[Event, ...]) -> None:
        for each in events:
            if self.adapter.assignments.wants(each):
                call: Call = self.adapter.assignments.call(each, self.loop.clock.wall_ns())
                self.calls.append((call.url, json.loads(call.body)))

    async def tell(self, raw: dict[str, Any], delivery: str = "") -> Report:
        body = msgspec.json.encode(raw)
        told = msgspec.json.decode(body, type=WebhookEvent)
        if told.event == chatwoot.MESSAGE:
            talk = msgspec.json.decode(body, type=MessageEvent).conversation
        else:
            talk = msgspec.json.decode(body, type=Conversation)
        return await self.adapter.take(told, talk, delivery, self.loop.clock.wall_ns())

    async def sign_in(self, number: int, capacity: int = 2) -> None:
        name, limit = str(number), ChannelLimit(most=9)
        channels = {"chat": limit, "email": limit}
        attributes = {"adapter": "chatwoot"}
        await self.desk.submit(
            PutResource(
                id=name, queues=("support", "billing"), channels=channels, capacity=capacity, attributes=attributes
            )
        )
        await self.desk.submit(SetPresence(resource_id=name, presence="available"))
        await asyncio.sleep(0.1)

    async def accept(self) -> None:
        """Every agent takes whatever it is offered."""
        for task in self.open:
            for offer in list(task.offers):
                if offer.state == "pending":
                    await self.desk.submit(Accept(offer_id=offer.id, resource_id=offer.resource_id))

    @property
    def open(self) -> list[Task]:
        return [task for task in self.desk.state.tasks.values() if not task.ended_ns]

    def held(self, number: int) -> int:
        return self.desk.state.resources[str(number)].used


def play(script: Callable[[Side], Coroutine[Any, Any, None]], settings: ChatwootSettings = SETTINGS) -> None:
    async def main(loop: VirtualLoop) -> None:
        async with opened(loop, POLICY) as desk:
            ids = (f"{number:032x}" for number in range(1_000_000))
            hub = AdapterHub(AdapterSettings(chatwoot=settings), desk, lambda: next(ids))
            hub.start()
            assert hub.chatwoot is not None
            await script(Side(desk, hub.chatwoot, loop))
            await hub.close()

    virtual.run(main)


def url(number: int = 41) -> str:
    return f"https://chat.example/api/v1/accounts/3/conversations/{number}/assignments"


def test_a_conversation_from_its_beginning_to_its_end() -> None:
    async def script(side: Side) -> None:
        await side.sign_in(17)
        report = await side.tell(opens(priority="high"))
        (task,) = side.open
        assert (report.outcome, report.task_id) == ("applied", task.id)
        assert (task.queue, task.channel, task.priority, task.customer_id) == ("support", "chat", 1, "chatwoot-9")
        assert task.context == {"chatwoot": {"account": 3, "conversation": 41, "labels": ["vip"]}}
        assert side.calls == []  # an offer is not an assignment
        await side.accept()
        assert side.calls == [(url(), {"assignee_id": 17})]
        assert (await side.tell(assigned(41, 17))).detail == "Takt has asked for this itself"
        assert side.held(17) == 1
        assert (await side.tell(opens(chatwoot.STATUS, status="resolved"))).outcome == "applied"
        assert (await side.tell(opens(chatwoot.STATUS, status="resolved"))).outcome == "unchanged"
        await asyncio.sleep(31)
        assert (side.held(17), task.state, len(side.calls)) == (0, TaskState.COMPLETED, 1)

    play(script)


def test_the_same_conversation_is_one_task_however_often_it_is_told() -> None:
    async def script(side: Side) -> None:
        for told in (opens(), opens(), opens(chatwoot.STATUS), message()):
            await side.tell(told)
        reports = await asyncio.gather(*(side.tell(opens(number=42)) for _ in range(4)))
        assert [report.outcome for report in reports] == ["applied"] + ["unchanged"] * 3
        assert len(side.open) == 2
        await side.tell(opens(chatwoot.STATUS, status="resolved"))
        assert (await side.tell(opens())).outcome == "unchanged"  # late, from a queue of Chatwoot's
        assert len(side.open) == 1

    play(script)


def test_what_a_context_may_not_hold_is_left_out_and_said_and_nobody_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """The bounds of a context are those of `POST /v1/tasks`; the text of all is bounded by what a label is."""
    labels = ["vip", "x" * 500_000, *(f"{'ü' * 125}{number:03}" for number in range(1_200))]
    fields = {"x" * 1_000: {"deep": "y" * 100_000}}

    async def script(side: Side) -> None:
        report = await side.tell(opens(number=2**53, labels=labels, custom_attributes=fields))
        (task,) = side.open
        kept = task.context["chatwoot"]["labels"]
        assert (len(kept), kept[:2]) == (100, ["vip", "ü" * 125 + "000"])
        codec.check_context(task.context, "$.context", codec.LOG_BITS)
        assert len(msgspec.json.encode(task.context)) <= ServerSettings().max_body_bytes
        assert (report.outcome, report.task_id) == ("applied", task.id)
        assert report.detail == "CreateTask; 1102 of 1202 labels left out: 100 of up to 128 characters are kept"
        assert (await side.tell(opens(number=2**53, labels=labels))).outcome == "unchanged"
        assert (await side.tell(opens(number=42))).detail == "CreateTask"

    play(script)
    (line,) = (vars(each) for each in caplog.records if each.message == "adapter_left_out")
    assert (line["adapter"], line["why"].split()[0]) == ("chatwoot", "1102")


def test_a_reopened_conversation_is_a_new_task_once_for_each_delivery() -> None:
    async def script(side: Side) -> None:
        await side.tell(opens())
        await side.tell(opens(chatwoot.STATUS, status="resolved"))
        assert side.open == []
        again = opens(chatwoot.STATUS, status="open")
        assert (await side.tell(again, "delivery-1")).outcome == "applied"
        await side.tell(opens(chatwoot.STATUS, status="resolved"))
        assert (await side.tell(again, "delivery-1")).outcome == "unchanged"
        assert side.open == []

    play(script)


def test_queue_channel_and_bots_of_chatwoot() -> None:
    async def script(side: Side) -> None:
        assert (await side.tell(opens(status="pending"))).outcome == "unchanged"
        await side.tell(opens(chatwoot.STATUS, inbox_id=12, channel="Channel::Email"))
        (task,) = side.open
        assert (task.queue, task.channel) == ("billing", "email")
        await side.tell(opens(chatwoot.STATUS, status="pending"))
        assert (side.open, task.outcome) == ([], "deflected")

    play(script)


def test_who_assigns_by_hand_is_right() -> None:
    async def script(side: Side) -> None:
        await side.sign_in(17)
        await side.sign_in(18, capacity=1)
        await side.tell(opens())
        await side.accept()
        await side.tell(assigned(41, 17))
        assert (await side.tell(assigned(41, 18))).outcome == "applied"
        assert (side.held(17), side.held(18)) == (0, 1)
        assert side.calls[1:] == [(url(), {"assignee_id": 0}), (url(), {"assignee_id": 18})]
        for echo in (assigned(41, None), assigned(41, 18)):
            assert (await side.tell(echo)).outcome == "unchanged"
        assert (side.held(17), side.held(18)) == (0, 1)
        await side.tell(assigned(41, None))  # and nobody, by hand
        (task,) = side.open
        assert task.state in {TaskState.QUEUED, TaskState.OFFERED}

    play(script)


def test_an_agent_whom_takt_takes_away_is_taken_away_there() -> None:
    async def script(side: Side) -> None:
        await side.sign_in(17)
        await side.tell(opens())
        await side.accept()
        (task,) = side.open
        await side.desk.submit(RequeueTask(task_id=task.id, is_excluding=True))
        assert side.calls == [(url(), {"assignee_id": 17}), (url(), {"assignee_id": 0})]

    play(script)


def test_a_conversation_that_somebody_has_already_counts_for_him() -> None:
    async def script(side: Side) -> None:
        await side.sign_in(17, capacity=1)
        await side.sign_in(18)
        await side.tell(opens(assignee=18))
        assert (side.held(17), side.held(18)) == (0, 1)

    play(script)


def test_agents_whom_takt_does_not_know_or_who_are_signed_out_are_named() -> None:
    async def script(side: Side) -> None:
        await side.tell(opens())
        with pytest.raises(UnknownAgent, match=r"meta\.assignee\.id: there is no resource '99'"):
            await side.tell(assigned(41, 99))
        with pytest.raises(UnknownAgent):
            await side.tell(opens(number=42, assignee=99))
        await side.sign_in(17)
        await side.desk.submit(SetPresence(resource_id="17", presence="offline"))
        position = side.desk.state.position
        with pytest.raises(AgentOffline):
            await side.tell(assigned(41, 17))
        assert (side.desk.state.position, len(side.open)) == (position, 1)

    play(script)


def test_snoozed_is_paused_and_a_customer_who_writes_wakes_it() -> None:
    async def script(side: Side) -> None:
        await side.sign_in(17)
        await side.tell(opens())
        await side.accept()
        (task,) = side.open
        await side.tell(opens(chatwoot.STATUS, status="snoozed"))
        assert task.state is TaskState.PAUSED
        assert (await side.tell(message("outgoing"))).outcome == "unchanged"
        assert (await side.tell(message(0))).outcome == "applied"
        assert task.state.value == "assigned"
        await side.tell(opens(chatwoot.STATUS, status="snoozed"))
        await side.tell(opens(chatwoot.STATUS, status="open"))
        assert task.state.value == "assigned"

    play(script)


def test_another_account_is_not_ours() -> None:
    async def script(side: Side) -> None:
        report = await side.tell({**opens(), "account": {"id": 4, "name": "Another"}})
        assert (report.outcome, side.open) == ("unchanged", [])

    play(script)


def test_events_of_other_tasks_and_of_bots_are_not_told() -> None:
    assignments = Assignments(msgspec.structs.replace(SETTINGS, agent_prefix="cw."))
    mine = "chatwoot-3-41-0a"
    assert assignments.wants(event(1, mine, "task.assigned", resource_id="cw.17"))
    for subject, kind, data in (
        ("t1", "task.assigned", {"resource_id": "cw.17"}),
        ("chatwoot-33-41-0a", "task.assigned", {"resource_id": "cw.17"}),
        (mine, "task.assigned", {"resource_id": "17"}),
        (mine, "task.assigned", {"resource_id": "cw.faq"}),
        (mine, "task.assigned", {"resource_id": "cw."}),
        (mine, "task.assigned", {"resource_id": "cw." + "9" * 30}),
        (mine, "task.queued", {}),
        (mine, "task.requeued", {"leg": 1}),
        (mine, "task.completed", {"resource_id": "cw.17", "handled_s": 1.0}),
    ):
        assert not assignments.wants(event(1, subject, kind, **data)), (subject, kind, data)


def test_the_call_is_that_of_the_documentation() -> None:
    call = Assignments(SETTINGS).call(event(1, "chatwoot-3-41-0a", "task.assigned", resource_id="17"), 0)
    assert call.url == url()
    assert call.headers == {"Content-Type": "application/json", "api_access_token": SETTINGS.api_token}
    assert json.loads(call.body) == {"assignee_id": 17}


def test_echoes_are_used_up_and_run_out() -> None:
    assignments = Assignments(SETTINGS)
    assignments.call(event(1, "chatwoot-3-41-0a", "task.assigned", resource_id="17"), 0)
    assert not assignments.is_echo(41, 18, 0)
    assert assignments.is_echo(41, 17, S)
    assert not assignments.is_echo(41, 17, S)
    assignments.call(event(1, "chatwoot-3-41-0a", "task.assigned", resource_id="17"), 0)
    assert not assignments.is_echo(41, 17, 61 * S)


def signature(timestamp: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {chatwoot.TIMESTAMP: timestamp, chatwoot.SIGNATURE: f"sha256={digest}"}


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        (signature("1000", b"{}"), True),
        (signature("1300", b"{}"), True),
        (signature("700", b"{}"), True),
        (signature("1301", b"{}"), False),
        (signature("699", b"{}"), False),
        (signature("1000", b"{ }"), False),
        (signature("1000", b"{}", SECRET + "x"), False),
        ({**signature("1000", b"{}"), chatwoot.TIMESTAMP: "1001"}, False),
        ({**signature("1000", b"{}"), chatwoot.TIMESTAMP: "soon"}, False),
        ({**signature("1000", b"{}"), chatwoot.TIMESTAMP: "١٠٠٠"}, False),
        ({chatwoot.TIMESTAMP: "1000"}, False),
        ({**signature("1000", b"{}"), chatwoot.SIGNATURE: "sha256=\udcff"}, False),
        ({}, False),
    ],
)
def test_only_what_was_signed_lately_with_the_secret_is_taken(headers: dict[str, str], good: bool) -> None:
    assert is_authentic(SETTINGS, headers, SECRET, b"{}", 1_000) is good


def test_a_token_in_the_url_is_for_versions_that_sign_nothing() -> None:
    settings = msgspec.structs.replace(SETTINGS, secret="", token="a token of 16 characters")
    assert is_authentic(settings, {}, "a token of 16 characters", b"{}", 0)
    assert not is_authentic(settings, {}, "a token of 16 character", b"{}", 0)
    assert not is_authentic(settings, signature("0", b"{}"), "", b"{}", 0)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({}, "event"),
        ({**opens(), "event": ""}, "$.event"),
        ({**opens(), "id": "41"}, "$.id"),
        ({**opens(), "id": 0}, "$.id"),
        ({**opens(), "id": 2**63}, "$.id"),
        ({**opens(), "status": None}, "$.status"),
        ({**opens(), "meta": []}, "$.meta"),
        ({**opens(), "labels": "vip"}, "$.labels"),
        ({**opens(), "changed_attributes": {"assignee_id": 1}}, "$.changed_attributes"),
        ({**message(), "conversation": None}, "$.conversation"),
        ({"event": chatwoot.MESSAGE}, "conversation"),
    ],
)
def test_a_bad_payload_names_its_field(raw: dict[str, Any], field: str) -> None:
    async def script(side: Side) -> None:
        with pytest.raises(msgspec.ValidationError) as caught:
            await side.tell(raw)
        assert field in str(caught.value)
        assert side.open == []

    play(script)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"secret": ""}, "secret or token"),
        ({"secret": "short"}, "secret: must be 16"),
        ({"api_token": "with\r\nline ends in it"}, "api_token: must be 16"),
        ({"url": "http://chat.example"}, "http is for this machine only"),
        ({"account": 0}, "account"),
        ({"agent_prefix": "a b"}, "agent_prefix"),
    ],
)
def test_settings_that_can_not_be(keys: dict[str, Any], why: str) -> None:
    good = {"url": "https://chat.example", "account": 3, "api_token": "x" * 16, "queue": "support", "secret": SECRET}
    with pytest.raises(msgspec.ValidationError, match=why):
        msgspec.convert({**good, **keys}, ChatwootSettings)
    assert SECRET not in repr(SETTINGS)
    assert SETTINGS.api_token not in repr(SETTINGS)
