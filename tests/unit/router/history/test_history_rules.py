"""Each rule finds what breaks it, names it, and lets pass what only looks like it."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import TYPE_CHECKING

import msgspec
import pytest

from router.activation import INLINE_RUNG as PRODUCT_INLINE_RUNG
from router.domain.interaction import Criticality
from router.history.count import Counts, between, read_counts
from router.history.entry import RANKS, Entry
from router.history.verdict import INLINE_RUNG
from router.log import DecisionRecord
from tests.histories import MS, broken, entry, facts, line, refused, report

if TYPE_CHECKING:
    from loadtest.history import Line


def told(*entries: Entry, at_ms: float = 0.0) -> list[Line]:
    """Lines of clients who were told what is recorded."""
    return [line(row, at_ms, of=each) for row, each in enumerate(entries)]


def replaced(struct: Line, **fields: object) -> Line:
    return msgspec.structs.replace(struct, **fields)


def test_vocabulary_is_the_product_s() -> None:
    assert INLINE_RUNG == PRODUCT_INLINE_RUNG
    assert {each.value: each.rank for each in Criticality} == RANKS
    assert set(Entry.__struct_fields__) <= set(DecisionRecord.__struct_fields__)


def test_a_plain_exchange_holds() -> None:
    one, other = entry(0, run=facts()), entry(1)
    found = report(told(one, other), [one, other])
    assert (found.holds, found.requests, found.recorded, found.foreign) == (True, 2, 2, 0)
    assert {each.rule: each.checked for each in found.findings} == {
        "I1": 2, "I2": 1, "I4": 2, "I5": 0, "I6": 0, "I8": 1, "I9": 0, "I14": 2, "I15": 0, "G14": 1,
    }  # fmt: skip


# I1


def test_an_answer_that_is_not_in_the_log() -> None:
    made = entry(0)
    found = report(told(made), [])
    assert broken(found) == {"I1": 1}
    violation = found.findings[0].violations[0]
    assert (violation.decision_id, violation.what) == (made.decision_id, "answered, but not in the log")


def test_as_many_may_be_missing_as_the_log_says_it_lost() -> None:
    made = entry(0), entry(1)
    lost = Counts(Counter(default=2), Counter(), 0, 1)
    assert broken(report(told(*made), [], lost)) == {"I1": 1}
    assert broken(report(told(*made), [made[0]], lost)) == {}


def test_a_request_that_was_decided_twice() -> None:
    made = entry(0)
    again = msgspec.structs.replace(made, decision_id="f" * 32)
    assert broken(report(told(made), [made, again])) == {"I1": 1}


def test_an_answer_of_another_decision() -> None:
    made = entry(0)
    assert broken(report([line(0, of=made, decision_id="f" * 32)], [made])) == {"I1": 1}


def test_a_refusal_that_was_decided_all_the_same() -> None:
    assert broken(report([refused(0, 0.0, "rejected-inflight")], [entry(0)])) == {"I1": 1}


@pytest.mark.parametrize("error", ["connection lost", "no answer in time", "bad HTTP", ""])
def test_no_response_is_a_violation_unless_connections_were_broken(error: str) -> None:
    lost = line(0, 10.0, error=error, answered_ns=20 * MS if error else None)
    assert broken(report([lost], [])) == {"I1": 1}
    assert broken(report([lost], [], outages=[(15 * MS, 16 * MS)])) == {}
    assert broken(report([lost], [], outages=[(0, 5 * MS)])) == {"I1": 1}
    assert broken(report([lost], [], is_complete=False)) == {}


def test_what_was_never_sent_needs_no_response() -> None:
    assert broken(report([line(0, outcome="unsent", sent_ns=None)], [])) == {}


# I2


def test_a_start_after_the_latest() -> None:
    late = entry(0, run=facts(40.5))
    assert broken(report(told(late), [late])) == {"I2": 1}


def test_who_shares_a_run_has_no_start_of_his_own() -> None:
    patient = entry(0, run=facts(40.5, latest_start_ms=60.0, commit_ms=66.0))
    other = entry(1, run=facts(40.5))
    assert broken(report(told(patient, other), [patient, other])) == {}


# I4


def test_late_without_its_label() -> None:
    made = entry(0, elapsed_ms=51.0)
    assert broken(report(told(made), [made])) == {"I4": 1}


def test_a_label_on_an_answer_in_time() -> None:
    made = entry(0)
    assert broken(report([line(0, of=made, late=True)], [made])) == {"I4": 1}


def test_an_answer_that_became_late_after_its_record() -> None:
    made = entry(0, elapsed_ms=49.9)
    assert broken(report([line(0, of=made, elapsed_ms=50.2, late=True)], [made])) == {}
    assert broken(report([line(0, of=made, elapsed_ms=50.2, late=False)], [made])) == {"I4": 1}


def test_the_budget_that_counts_is_the_one_granted() -> None:
    made = entry(0, elapsed_ms=30.0, total_ms=20.0, late=True)
    assert broken(report([line(0, of=made, budget_ms=50.0)], [made])) == {}


def test_a_client_s_lateness_is_told_and_no_violation() -> None:
    made = entry(0)
    found = report([line(0, of=made, answered_ns=80 * MS)], [made])
    assert found.holds
    (finding,) = (each for each in found.findings if each.rule == "I4")
    assert finding.notes == (
        "1 in time for the server were late for their client: sockets and the client took up to 79.1 ms of it",
    )


# I5


def shed(row: int, at_ms: float, verdict: str = "floor", *, rank: int = 1, dark: bool = False) -> Entry:
    return entry(row, at_ms, rank=rank, verdict=verdict, dark=dark)


@pytest.mark.parametrize("verdict", ["floor", "inline"])
def test_a_critical_one_gives_way_between_two_sheddable_ones(verdict: str) -> None:
    made = entry(0, 0.0, rank=3, run=facts()), shed(1, 40.0, verdict), entry(2, 80.0, rank=2, run=facts())
    found = report([line(row, 40.0 * row, of=each) for row, each in enumerate(made)], made)
    assert broken(found) == {"I5": 1}
    (finding,) = (each for each in found.findings if each.violated)
    assert finding.violations[0].decision_id == made[1].decision_id
    assert finding.violations[0].others == (made[0].decision_id, made[2].decision_id)


def test_a_critical_one_rejected_between_two_sheddable_ones() -> None:
    made = entry(0, 0.0, rank=3, run=facts()), entry(2, 80.0, rank=2, run=facts())
    lines = [line(0, 0.0, of=made[0]), refused(1, 40.0, "rejected-overload"), line(2, 80.0, of=made[1])]
    assert broken(report(lines, made)) == {"I5": 1}
    assert broken(report(lines, made, most_critical=2)) == {}  # it asked for more than it was granted
    lines[1] = refused(1, 40.0, "rejected-overload", rank=2)
    assert broken(report(lines, made)) == {}


@pytest.mark.parametrize(
    ("first", "middle", "last"),
    [
        (entry(0, 0.0, rank=3, run=facts()), shed(1, 150.0), entry(2, 300.0, rank=3, run=facts())),
        (entry(0, 0.0, rank=3, run=facts()), shed(1, 40.0), entry(2, 80.0, rank=1, run=facts())),
        (entry(0, 0.0, rank=3, run=facts()), shed(1, 40.0), entry(2, 80.0, rank=3)),
        (entry(0, 0.0, rank=3, run=facts()), shed(1, 40.0, dark=True), entry(2, 80.0, rank=3, run=facts())),
        (entry(0, 0.0, rank=3, rung="small"), shed(1, 40.0, "inline"), entry(2, 80.0, rank=3, rung="small")),
        (entry(0, 0.0, rank=3, run=facts()), shed(1, 40.0, rank=2), entry(2, 80.0, rank=3, run=facts())),
        (entry(0, 0.0, rank=3, run=facts()), entry(1, 40.0), entry(2, 80.0, rank=3, run=facts())),
    ],
    ids=["too far apart", "as critical", "no model", "dark", "not the executor", "not critical", "no verdict"],
)
def test_what_is_no_sacrifice(first: Entry, middle: Entry, last: Entry) -> None:
    made = [first, middle, last]
    found = report([line(row, 0.0, of=each) for row, each in enumerate(made)], made)
    assert "I5" not in broken(found)


def test_an_inline_model_is_a_sacrifice_of_who_gets_none() -> None:
    made = [entry(0, 0.0, rank=3, rung="small"), shed(1, 40.0), entry(2, 80.0, rank=3, rung="small")]
    assert broken(report([line(row, 40.0 * row, of=each) for row, each in enumerate(made)], made)) == {"I5": 1}


# I6


def counted(answered: int = 2, refusals: int = 1, missed: int = 0) -> Counts:
    return Counts(Counter(default=answered), Counter({"rejected-inflight": refusals}), missed, 0)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (counted(), {}),
        (counted(answered=3), {"I6": 2}),
        (counted(answered=1), {"I6": 2}),
        (counted(refusals=0), {"I6": 2}),
        (counted(missed=1), {"I6": 1}),
        (counted(answered=1, refusals=2), {"I6": 2}),
    ],
    ids=["same", "one more", "one lost", "refusal lost", "late one more", "exchanged"],
)
def test_what_the_server_counts_is_what_clients_saw(counts: Counts, expected: dict[str, int]) -> None:
    made = entry(0), entry(1)
    lines = [*told(*made), refused(2, 0.0, "rejected-inflight")]
    assert broken(report(lines, made, counts)) == expected


def test_who_got_no_answer_may_have_been_counted() -> None:
    made = entry(0), entry(1)
    lines = [*told(*made), refused(2, 0.0, "rejected-inflight"), line(3, 0.0, error="no answer in time")]
    given = {"is_complete": False}
    assert broken(report(lines, made, counted(answered=3), **given)) == {}
    assert broken(report(lines, made, counted(answered=4), **given)) == {"I6": 2}


def test_a_label_that_was_not_counted() -> None:
    made = entry(0, elapsed_ms=60.0, late=True)
    assert broken(report(told(made), [made], Counts(Counter(default=1), Counter(), 0, 0))) == {"I6": 1}


def test_decisions_of_others_allow_for_more_but_not_for_less() -> None:
    made, other = entry(0), msgspec.structs.replace(entry(1), interaction_id="somebody")
    found = report(told(made), [made, other], Counts(Counter(default=9), Counter(), 0, 0))
    assert (found.holds, found.foreign) == (True, 1)
    assert broken(report(told(made), [made, other], Counts(Counter(), Counter(), 0, 0))) == {"I6": 2}


_PAGE = """\
# TYPE takt_requests_total counter
takt_requests_total{point="interactions",rung="large",degraded="none",reason="model"} 7
takt_requests_total{point="interactions",rung="large",degraded="none",reason="unsure"} 2.0
takt_requests_total{point="other",rung="default",degraded="cold",reason="default"} 1
takt_refused_total{reason="rejected-overload"} 3
takt_budget_missed_total{point="interactions"} 4
takt_log_dropped_total 5
takt_inflight 0
"""


def test_counts_are_read_from_the_page_of_metrics() -> None:
    found = read_counts(_PAGE)
    assert found == (Counter(large=9, default=1), Counter({"rejected-overload": 3}), 4, 5)
    none = read_counts("")
    assert between(none, found) == found
    assert between(found, none) is None  # started anew


# I8


def test_a_run_that_starts_when_the_budget_is_over() -> None:
    made = entry(0, run=facts(50.0, latest_start_ms=55.0, commit_ms=61.0))
    assert broken(report(told(made), [made])) == {"I8": 1}


@pytest.mark.parametrize("code", ["deadline-expired", "deadline-unmeetable"])
def test_an_expired_request_that_was_decided(code: str) -> None:
    assert broken(report([refused(0, 0.0, code)], [entry(0)])) == {"I1": 1, "I8": 1}


# I9


def pair(commit_ms: float, **fields: object) -> tuple[Entry, Entry]:
    """Two in a batch that is expected to end 20 ms after the budgets' begin."""
    shared = {"texts": 2, "predicted_ms": 10.0}
    return (
        entry(0, run=facts(10.0, **shared)),
        entry(1, run=facts(10.0, latest_start_ms=12.0, commit_ms=commit_ms, **{**shared, **fields})),
    )


def test_a_batch_beyond_a_member_s_commit_time() -> None:
    assert broken(report(told(*pair(20.0)), pair(20.0))) == {}
    assert broken(report(told(*pair(19.0)), pair(19.0))) == {"I9": 1}


def test_one_who_joins_a_batch_that_runs_is_no_member() -> None:
    made = pair(19.0, queued_ms=11.0)
    assert broken(report(told(*made), made)) == {}


def test_members_of_a_batch_agree_on_it() -> None:
    made = pair(30.0, texts=3)
    assert broken(report(told(*made), made)) == {"I9": 1}


# I14


@pytest.mark.parametrize("total_ms", [inf, 1_000.1, 50.5, 0.0, -1.0, float("nan")])
def test_a_budget_without_a_bound(total_ms: float) -> None:
    made = entry(0, total_ms=total_ms, late=total_ms <= 0)
    assert broken(report([line(0, of=made, budget_ms=50.0)], [made])) == {"I14": 1}


def test_a_budget_that_was_cut() -> None:
    made = entry(0, total_ms=1_000.0)
    assert broken(report([line(0, of=made, budget_ms=5_000.0)], [made])) == {}


# I15


@pytest.mark.parametrize(
    ("made", "is_broken"),
    [
        (entry(0, verdict="floor", run=facts(), rung="default"), True),
        (entry(0, verdict="inline", run=facts()), True),
        (entry(0, verdict="inline", rung="small"), False),
        (entry(0, verdict="floor", rung="small"), True),
        (entry(0, verdict="floor", rung="cache"), False),
        (entry(0, verdict="floor", dark=True, run=facts()), False),
        (entry(0, verdict="floor", dark=True, skipped=(("large", "overload"), ("small", "overload"))), True),
        (entry(0, verdict="floor", dark=True, skipped=(("large", "overload"), ("small", "budget"))), False),
    ],
)
def test_verdicts_are_obeyed_unless_dark(made: Entry, is_broken: bool) -> None:
    assert broken(report(told(made), [made])) == ({"I15": 1} if is_broken else {})


def test_nobody_is_rejected_in_the_dark() -> None:
    dark = entry(0, verdict="floor", dark=True)
    lines = [*told(dark), refused(1, 0.0, "rejected-overload", rank=3)]
    assert broken(report(lines, [dark])) == {"I15": 1}
    obeyed = entry(0, verdict="floor")
    assert broken(report([*told(obeyed), lines[1]], [obeyed])) == {}


# G14


def waited(*, rank: int = 1, start_ms: float | None = 30.0, **fields: object) -> Entry:
    return entry(0, rank=rank, run=facts(start_ms, **fields), elapsed_ms=44.0)


@pytest.mark.parametrize(
    ("made", "is_broken"),
    [
        (waited(), True),
        (waited(start_ms=None), True),
        (waited(rank=2), True),
        (waited(rank=3), False),
        (waited(start_ms=15.0), False),
        (waited(queued_ms=19.0), False),
        (waited(queued_ms=25.0), False),
        (waited(start_ms=None, latest_start_ms=19.0), False),
    ],
    ids=["later", "never", "sheddable-plus", "equal", "before", "at once", "came later", "could not start"],
)
def test_a_less_critical_one_goes_first(made: Entry, is_broken: bool) -> None:
    """The other one is sheddable and starts at 20 ms."""
    other = entry(1, 18.0, rank=3, run=facts(2.0))
    found = report([line(0, of=made), line(1, 18.0, of=other)], [made, other])
    assert broken(found) == ({"G14": 1} if is_broken else {})
    if is_broken:
        (finding,) = (each for each in found.findings if each.violated)
        assert finding.violations[0].others == (other.decision_id,)


def test_a_batch_goes_with_its_most_critical_member() -> None:
    made = waited()
    together = {"texts": 2, "predicted_ms": 6.0}
    others = entry(1, 18.0, rank=3, run=facts(2.0, **together)), entry(2, 18.0, rank=0, run=facts(2.0, **together))
    lines = [line(0, of=made), line(1, 18.0, of=others[0]), line(2, 18.0, of=others[1])]
    assert broken(report(lines, [made, *others])) == {}


def test_records_without_the_server_s_clock_are_told() -> None:
    made = entry(0, run=facts(), began_ns=0)
    found = report(told(made), [made])
    (finding,) = (each for each in found.findings if each.rule == "G14")
    assert (finding.checked, finding.notes) == (0, ("1 records of runs do not say when on the server's clock",))


# How much is told


def test_the_first_violations_are_told_and_all_are_counted() -> None:
    made = [entry(row, total_ms=2_000.0) for row in range(50)]
    found = report([line(row, of=each, budget_ms=50.0) for row, each in enumerate(made)], made)
    (finding,) = (each for each in found.findings if each.violated)
    assert (finding.violated, len(finding.violations)) == (50, 20)
