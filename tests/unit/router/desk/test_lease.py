"""Leases: silence is told once, a return is told once, and nobody is told of who has gone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.assign.command import Restore, Suspect
from router.desk.lease import Leases

S = 1_000_000_000
TTL_NS = 15 * S
MANY = 1_000


def leases_of(*resources: str) -> Leases:
    leases = Leases(TTL_NS)
    for resource_id in resources:
        leases.opened(resource_id, "s1", 0)
    return leases


def test_silence_is_told_once_and_at_its_time() -> None:
    leases = leases_of("ana", "ben")
    assert leases.renewed("ana", "s1", 5 * S)
    assert leases.due_ns() == 15 * S
    assert leases.due(15 * S - 1, MANY) == []
    assert leases.due(15 * S, MANY) == [Suspect(resource_id="ben", session="s1")]
    assert leases.due(15 * S, MANY) == []
    assert leases.due_ns() == 20 * S
    assert leases.due(60 * S, MANY) == [Suspect(resource_id="ana", session="s1")]
    assert leases.due_ns() is None


def test_who_is_heard_again_is_restored_once_and_has_a_whole_lease() -> None:
    leases = leases_of("ana")
    leases.due(15 * S, MANY)
    assert leases.renewed("ana", "s1", 20 * S)
    assert leases.due_ns() == 0, "at once"
    assert leases.renewed("ana", "s1", 21 * S)
    assert leases.due(21 * S, MANY) == [Restore(resource_id="ana", session="s1")]
    assert leases.due(36 * S - 1, MANY) == []
    assert leases.due(36 * S, MANY) == [Suspect(resource_id="ana", session="s1")]


def test_another_session_does_not_renew() -> None:
    leases = leases_of("ana")
    assert not leases.renewed("ana", "s2", 5 * S)
    assert not leases.renewed("nobody", "s1", 5 * S)
    assert leases.due(15 * S, MANY) == [Suspect(resource_id="ana", session="s1")]
    assert not leases.renewed("ana", "s2", 16 * S), "nor does it bring a suspect back"
    assert leases.session_of("ana") == "s1"


def test_without_a_session_a_resource_has_a_lease_too() -> None:
    leases = Leases(TTL_NS)
    leases.opened("ana", "", 0)
    assert leases.renewed("ana", "", 10 * S)
    assert leases.due(25 * S, MANY) == [Suspect(resource_id="ana", session="")]


def test_who_has_gone_is_not_told_of() -> None:
    leases = leases_of("ana", "ben", "cy")
    leases.closed("ana")
    leases.due(15 * S, MANY)
    leases.closed("ben")
    leases.renewed("cy", "s1", 16 * S)
    leases.closed("cy")
    leases.closed("nobody")
    assert leases.due(99 * S, MANY) == []
    assert len(leases) == 0
    assert leases.session_of("ben") is None


def test_a_new_session_begins_anew() -> None:
    leases = leases_of("ana")
    leases.due(15 * S, MANY)
    leases.opened("ana", "s2", 16 * S)
    assert leases.due(31 * S - 1, MANY) == []
    assert leases.due(31 * S, MANY) == [Suspect(resource_id="ana", session="s2")]


def test_a_suspect_of_before_a_restart_is_restored_by_a_heartbeat() -> None:
    leases = Leases(TTL_NS)
    leases.opened("ana", "s1", 0, is_suspect=True)
    assert leases.due(99 * S, MANY) == []
    assert leases.renewed("ana", "s1", 99 * S)
    assert leases.due(99 * S, MANY) == [Restore(resource_id="ana", session="s1")]


def test_no_more_at_a_time_than_asked() -> None:
    leases = leases_of(*"abcde")
    told = []
    while batch := leases.due(15 * S, 2):
        assert len(batch) <= 2
        told += [each.resource_id for each in batch]
        assert leases.due_ns() == (15 * S if len(told) < 5 else None)
    assert told == list("abcde")


def test_another_ttl_counts_for_the_leases_there_are() -> None:
    leases = leases_of("ana")
    leases.ttl_ns = 5 * S
    assert leases.due(5 * S, MANY) == [Suspect(resource_id="ana", session="s1")]


Step = tuple[str, str, str]
NAMES, SESSIONS = st.sampled_from("abc"), st.sampled_from(["s1", "s2"])


@given(st.lists(st.tuples(st.sampled_from(["open", "hear", "close", "look"]), NAMES, SESSIONS, st.integers(0, 9 * S))))
def test_as_a_plain_model_of_it(steps: list[tuple[str, str, str, int]]) -> None:
    """The model looks at everybody each time; `told` is what the engine would believe."""
    leases, now_ns = Leases(TTL_NS), 0
    held: dict[str, tuple[str, int]] = {}
    told: dict[str, bool] = {}
    for verb, name, session, pause_ns in steps:
        now_ns += pause_ns
        match verb:
            case "open":
                leases.opened(name, session, now_ns)
                held[name], told[name] = (session, now_ns), False
            case "hear":
                is_known = name in held and held[name][0] == session
                assert leases.renewed(name, session, now_ns) == is_known
                if is_known:
                    held[name] = (session, now_ns)
            case "close":
                leases.closed(name)
                held.pop(name, None)
                told.pop(name, None)
            case _:
                for each in leases.due(now_ns, MANY):
                    assert held[each.resource_id][0] == each.session
                    assert told[each.resource_id] != isinstance(each, Suspect), "told twice"
                    told[each.resource_id] = isinstance(each, Suspect)
                assert told == {each: heard_ns + TTL_NS <= now_ns for each, (_, heard_ns) in held.items()}
    assert len(leases) == len(held)
