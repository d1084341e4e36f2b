"""Recovery: what the log says, or a refusal that says what is wrong."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from router.assign.command import Configure, SetQueue
from router.desk.recovery import NEW, recover
from router.log.errors import LogRefused
from router.log.journal import Entry, Recovered
from tests.virtual_desk import POLICY, create, never

AT_NS = 1_700_000_000_000_000_000


def entries_of(*commands: msgspec.Struct) -> list[Entry]:
    return [
        Entry(position, AT_NS + position, 1, msgspec.msgpack.encode(command))
        for position, command in enumerate(commands, 1)
    ]


def recovered(entries: list[Entry], rows: list[tuple[str, str, bytes]] | None = None) -> Recovered:
    return Recovered(epoch=2, position=0, rows=rows or [], entries=entries)


def test_nothing_yet() -> None:
    engine = asyncio.run(recover(recovered([]), never))
    assert (engine.state.position, engine.state.policy) == (0, NEW)


def test_a_replay_and_a_checkpoint_with_the_rest_are_the_same() -> None:
    commands = [Configure(policy=POLICY), *(create(f"t{number}") for number in range(600))]
    entries = entries_of(*commands)
    whole = asyncio.run(recover(recovered(entries), never))
    half = asyncio.run(recover(recovered(entries[:300]), never))
    rows = [(kind, id_, body) for kind, id_, body, _ in half.take_changes() if body is not None]
    rest = asyncio.run(recover(recovered(entries[300:], rows), never))
    assert rest.hash() == whole.hash()
    assert len(whole.state.tasks) == 600


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (Entry(2, AT_NS + 2, 1, b"\xc1"), "command 2"),
        (Entry(2, AT_NS + 2, 1, msgspec.msgpack.encode({"do": "dance"})), "command 2"),
        (Entry(2, AT_NS + 2, 1, msgspec.msgpack.encode(create("t1", queue="gone"))), "command 2"),
        (Entry(3, AT_NS + 2, 1, msgspec.msgpack.encode(create("t1"))), "does not do again"),
        (Entry(2, AT_NS + 2, 1, msgspec.msgpack.encode(SetQueue(queue="cards", is_open=None))), "does not do again"),
    ],
)
def test_what_cannot_be_replayed_is_refused(entry: Entry, said: str) -> None:
    with pytest.raises(LogRefused, match=said):
        asyncio.run(recover(recovered([*entries_of(Configure(policy=POLICY)), entry]), never))


@pytest.mark.parametrize("rows", [[("task", "t1", b"\xc1")], [("policy", "policy", msgspec.msgpack.encode(POLICY))]])
def test_a_checkpoint_that_cannot_be_read_is_refused(rows: list[tuple[str, str, bytes]]) -> None:
    with pytest.raises(LogRefused, match="checkpoint"):
        asyncio.run(recover(recovered([], rows), never))


def test_a_large_recovery_leaves_the_event_loop_to_others() -> None:
    entries = entries_of(Configure(policy=POLICY), *(create(f"t{number}") for number in range(3_000)))

    async def main() -> None:
        with ThreadPoolExecutor(1) as executor:
            recovering = asyncio.ensure_future(recover(recovered(entries), never, executor))
            turns = 0
            while not recovering.done():
                await asyncio.sleep(0)
                turns += 1
            assert turns > 3
            assert len((await recovering).state.tasks) == 3_000
        assert gc.isenabled()

    asyncio.run(main())
