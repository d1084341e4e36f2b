from __future__ import annotations

import msgspec
import pytest

from budgets.brownout import Luxury
from budgets.criticality import CLASSES, COHORTS, CRITICAL, CRITICAL_PLUS, SHEDDABLE, SHEDDABLE_PLUS
from budgets.deadline import NS_PER_MS as MS
from budgets.overload import WINDOW_NS, Overload, OverloadSettings
from budgets.shedding import LEVELS, Verdict

START_NS = 3_000_000 * MS
BUDGET_NS = 50 * MS


class Server:
    """A control and its time. Each second brings a thousand arrivals, over all levels or those of one class."""

    def __init__(self, settings: OverloadSettings = OverloadSettings()) -> None:  # noqa: B008 - frozen
        self.control = Overload(settings, max_jobs=64, smallest_budget_ns=BUDGET_NS)
        self.now_ns = START_NS

    def window(
        self, *, lag_ms: int = 0, waits_ms: int | None = None, cost_ms: int = 0, rank: int | None = None
    ) -> list[Verdict]:
        """100 arrivals, 5 ticks, 25 waits and runs. Returns: the verdicts."""
        given = []
        for at in range(100):
            self.now_ns += WINDOW_NS // 100
            level = (at * 37) % LEVELS if rank is None else rank * COHORTS + (at * 37) % COHORTS
            given.append(self.control.judge(level, self.now_ns))
            if not at % 20:
                self.control.lagged(lag_ms * MS, self.now_ns)
            if not at % 4 and waits_ms is not None:
                self.control.admits_run(CRITICAL, cost_ms * MS, 0, self.now_ns)
                self.control.waited(waits_ms * MS, BUDGET_NS, True, self.now_ns)
        return given

    def overrun(self, windows: int) -> None:
        """The executor is busy and its jobs wait for most of their budget."""
        for _ in range(windows):
            self.window(waits_ms=40, cost_ms=5)

    def lag(self, windows: int, lag_ms: int = 60, rank: int | None = None) -> None:
        for _ in range(windows):
            self.window(lag_ms=lag_ms, rank=rank)


def test_in_peace_everybody_gets_everything() -> None:
    server = Server()
    assert {verdict for _ in range(30) for verdict in server.window(waits_ms=1, cost_ms=1)} == {Verdict.ADMIT}
    assert (server.control.shed_share, server.control.reject_pressure, server.control.brownout_step) == (0.0, 0.0, 0)


def test_waits_take_the_executor_from_the_least_critical_and_nothing_else() -> None:
    server = Server()
    server.overrun(10)
    assert 0.1 < server.control.shed_share < 0.9
    given = set(server.window(waits_ms=40, cost_ms=5))
    assert given == {Verdict.ADMIT, Verdict.INLINE}
    assert server.control.judge(0, server.now_ns) is Verdict.ADMIT
    assert server.control.judge(LEVELS - 1, server.now_ns) is Verdict.INLINE
    assert server.control.reject_pressure == 0.0


def test_waits_of_an_executor_with_time_left_are_no_reason_to_shed() -> None:
    server = Server()
    for _ in range(30):
        server.window(waits_ms=40, cost_ms=2)
    assert server.control.shed_share == 0.0
    assert server.control.limit < 4.0, "but to let fewer wait"


def test_refusals_are_a_reason_to_shed_where_nobody_waits() -> None:
    server = Server()
    for _ in range(40):
        server.window(waits_ms=0, cost_ms=5)
        for _ in range(25):
            server.control.admits_run(SHEDDABLE, MS, 60, server.now_ns)
    assert server.control.shed_share > 0.1


def test_model_pressure_ends_when_nothing_waits_any_more() -> None:
    server = Server()
    server.overrun(60)
    assert server.control.shed_share > 0.5
    for _ in range(20):
        server.window()
    assert server.control.shed_share == 0.0


def test_loop_pressure_ends_with_the_lag_and_with_a_silence() -> None:
    for lag_ms, windows, silence_ns in ((0, 20, 0), (0, 1, 10**16)):
        server = Server()
        server.lag(60)
        assert server.control.reject_pressure > 0.9
        server.now_ns += silence_ns
        server.lag(windows, lag_ms=lag_ms)
        assert server.control.reject_pressure == 0.0


def test_what_was_before_a_silence_is_no_need_after_it() -> None:
    server = Server()
    server.overrun(60)
    server.now_ns += 10_000 * MS
    for _ in range(100):
        server.now_ns += MS
        server.control.admits_run(CRITICAL, 5 * MS, 0, server.now_ns)
    server.window()
    assert server.control.shed_share == 0.0


def test_the_limit_grows_where_it_is_used_and_waits_are_short() -> None:
    limits = []
    for in_line in (2, 12):
        server = Server()
        for _ in range(10):
            server.window(waits_ms=1)
            server.control.admits_run(CRITICAL, 0, in_line, server.now_ns)
        limits.append(server.control.limit)
    assert limits[0] == 16.0
    assert limits[1] > 16.0


def test_few_waits_count_when_a_second_is_over() -> None:
    server = Server()
    limits = []
    for _ in range(30):
        server.window()
        for _ in range(2):
            server.control.waited(60 * MS, BUDGET_NS, False, server.now_ns)
        limits.append(server.control.limit)
    assert sorted(set(limits), reverse=True) == list(dict.fromkeys(limits))
    assert len(set(limits)) in {3, 4}


def test_lag_takes_models_and_then_turns_away_from_the_least_critical() -> None:
    server, first = Server(), dict[int, dict[Verdict, int]]()
    for window in range(120):
        server.lag(1, lag_ms=20)
        for rank in range(CLASSES):
            for verdict, count in server.control.verdicts(rank).items():
                if count:
                    first.setdefault(rank, {}).setdefault(verdict, window)
    begun = [first[SHEDDABLE][Verdict.FLOOR], first[SHEDDABLE][Verdict.REJECT], first[SHEDDABLE_PLUS][Verdict.REJECT]]
    assert begun == sorted(begun)
    assert first[SHEDDABLE][Verdict.FLOOR] <= first[SHEDDABLE_PLUS][Verdict.FLOOR] <= first[CRITICAL][Verdict.FLOOR]
    assert first[CRITICAL][Verdict.FLOOR] < first[CRITICAL_PLUS][Verdict.FLOOR]
    assert Verdict.REJECT not in first[CRITICAL_PLUS]
    assert Verdict.INLINE not in first[SHEDDABLE]


def test_one_late_tick_does_nothing() -> None:
    server = Server()
    server.lag(5, lag_ms=1)
    server.control.lagged(100 * MS, server.now_ns)
    server.lag(1, lag_ms=1)
    assert (server.control.reject_pressure, server.control.brownout_step) == (0.0, 0)


def test_a_lag_of_less_than_two_windows_does_nothing_to_requests() -> None:
    server, pressures = Server(), []
    for lag_ms in (1, 1, 60, 1, 1, 1, 60, 60):
        server.lag(1, lag_ms=lag_ms)
        pressures.append(server.control.reject_pressure)
    assert pressures[:7] == [0.0] * 7
    assert pressures[7] > 0.0


def test_of_the_critical_a_fifth_is_rejected_at_most_and_the_spared_are_counted() -> None:
    server = Server()
    server.lag(200, rank=CRITICAL)
    given = server.control.verdicts(CRITICAL)
    assert server.control.reject_pressure == 1.0
    assert 0.15 < given[Verdict.REJECT] / sum(given.values()) <= 0.2
    assert server.control.spared_total > given[Verdict.REJECT]


def test_none_is_rejected_where_none_may_be() -> None:
    server = Server(OverloadSettings(max_reject_share=0.0))
    server.lag(100)
    assert server.control.verdicts(CRITICAL)[Verdict.REJECT] == 0
    assert server.control.verdicts(SHEDDABLE)[Verdict.REJECT] > 0


def test_luxuries_go_first_and_come_back_last() -> None:
    server = Server()
    server.lag(10, lag_ms=7)
    assert server.control.brownout_step == 3
    assert not server.control.keeps(Luxury.CACHE_WRITES)
    assert server.control.reject_pressure == 0.0, "more than a tenth of the budget, but less than a fifth"
    server.lag(11, lag_ms=0)
    assert server.control.brownout_step == 2
    assert server.control.keeps(Luxury.LATE_LINES)


def test_a_refusal_keeps_the_less_critical_out_until_the_next_window_is_over() -> None:
    server = Server()
    server.window()
    control, now_ns = server.control, server.now_ns
    assert control.admits_run(SHEDDABLE, MS, 2, now_ns)
    assert not control.admits_run(CRITICAL, MS, 30, now_ns)
    assert not control.admits_run(SHEDDABLE, MS, 2, now_ns)
    assert control.admits_run(SHEDDABLE, MS, 0, now_ns), "an executor with nothing to do is for anybody"
    assert control.admits_run(CRITICAL, MS, 2, now_ns)
    assert not control.admits_run(SHEDDABLE, MS, 2, now_ns + WINDOW_NS)
    assert control.admits_run(SHEDDABLE, MS, 2, now_ns + 3 * WINDOW_NS)
    assert not control.admits_run(CRITICAL, MS, 30, now_ns + 3 * WINDOW_NS)
    assert control.admits_run(SHEDDABLE, MS, 2, now_ns + 5 * WINDOW_NS), "nothing came in the window between"


def test_the_time_of_a_job_that_was_never_started_is_given_back() -> None:
    control = Server().control
    assert control.admits_run(CRITICAL, 400 * MS, 1, START_NS)
    before = control.allowance_share
    control.refund(400 * MS)
    assert before == pytest.approx(0.6)
    assert control.allowance_share == 1.0


@pytest.mark.parametrize("mode", ["dark", "off"])
def test_where_nothing_is_enforced_what_is_given_back_was_taken_before(mode: str) -> None:
    control = Server(OverloadSettings(mode=mode)).control  # type: ignore[arg-type]
    for _ in range(5):
        control.admits_run(CRITICAL, 100 * MS, 2, START_NS)
    before = control.allowance_share
    for _ in range(3):
        control.admits_run(SHEDDABLE, 100 * MS, 1_000, START_NS)  # it joins all the same
        control.refund(100 * MS)
    assert control.allowance_share == pytest.approx(before)
    assert before == pytest.approx(0.5 if mode == "dark" else 1.0)


def test_a_job_without_a_budget_waited_too_long() -> None:
    server = Server()
    for _ in range(25):
        server.control.waited(MS, 0, False, server.now_ns)
    server.window()
    server.window()
    assert server.control.limit < 16.0


def test_off_lets_everybody_in_and_keeps_everything() -> None:
    server = Server(OverloadSettings(mode="off"))
    server.lag(30)
    server.overrun(10)
    assert {server.control.judge(level, server.now_ns) for level in range(LEVELS)} == {Verdict.ADMIT}
    assert server.control.admits_run(SHEDDABLE, 10**12, 1_000, server.now_ns)
    assert server.control.keeps(Luxury.CACHE_WRITES)
    assert not server.control.enforces


def test_dark_judges_but_keeps_everything() -> None:
    server = Server(OverloadSettings(mode="dark"))
    server.lag(30)
    assert server.control.verdicts(SHEDDABLE)[Verdict.REJECT] > 0
    assert server.control.brownout_step == 3
    assert server.control.keeps(Luxury.CACHE_WRITES)
    assert not server.control.enforces


@pytest.mark.parametrize("bad", [{"mode": "maybe"}, {"max_reject_share": 1.1}, {"queue_target_share": 0}, {"typo": 1}])
def test_settings_say_what_is_allowed(bad: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"enum|<=|>|unknown"):
        msgspec.convert(bad, OverloadSettings)


def test_every_setting_is_described() -> None:
    _, schemas = msgspec.json.schema_components([OverloadSettings])
    for name, schema in schemas["OverloadSettings"]["properties"].items():
        assert schema.get("description"), name
