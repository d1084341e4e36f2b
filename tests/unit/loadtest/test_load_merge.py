"""Several runs as one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import msgspec
import numpy as np
import pytest

from loadtest.agents.book import Book
from loadtest.errors import RunError
from loadtest.health import check
from loadtest.merge import merge
from loadtest.report.section.flow import tell_throughput
from loadtest.report.section.latency import tell_latency
from loadtest.run import FaultRecord, PhaseRecord, Repeat, Run, WorkerHealth, open_run, with_looks
from loadtest.sample import NEVER
from loadtest.view import view
from tests.fabricated import MS, S, fabricate, scenario


def part(path: Path, at: str, *, wall_ns: int = 0, seed: int = 1, **fields: object) -> Run:
    """10 s at 100/s, its second half measured."""
    phases = (
        PhaseRecord(name="warmup", start_ns=0, end_ns=5 * S, measure=False),
        PhaseRecord(name="steady", start_ns=5 * S, end_ns=10 * S, measure=True),
    )
    worker = WorkerHealth(
        index=0, ended="done", wall_ns=10 * S, cpu_ns=S, paced_total=1_000, sent_total=1_000, answered_total=1_000
    )
    return fabricate(
        path / at,
        np.full(1_000, 10 * MS),
        **{  # type: ignore[arg-type]
            "id": f"id-{at}",
            "origin_wall_ns": wall_ns,
            "phases": phases,
            "phase": np.arange(1_000) >= 500,
            "of": scenario(10, seed=seed),
            "ended_ns": 10 * S,
            "workers": (worker,),
            **fields,
        },
    )


def test_machines_at_once_share_their_phases(tmp_path: Path) -> None:
    one = part(tmp_path, "one", wall_ns=100 * S)
    other = part(tmp_path, "other", wall_ns=101 * S, seed=2)
    whole = merge([other, one], tmp_path / "both")
    assert [(each.name, each.start_ns, each.end_ns) for each in whole.record.phases] == [
        ("warmup", 0, 6 * S),
        ("steady", 5 * S, 11 * S),
    ]
    assert len(whole.planned) == 2_000
    assert whole.record.ended_ns == 11 * S
    # The one that began first is first, and does not move.
    assert whole.planned["intended_ns"][0] == 0
    assert whole.planned["intended_ns"][1_000] == 1 * S
    assert whole.samples["done_ns"][1_000] == 1 * S + 10 * MS
    assert [worker.index for worker in whole.record.workers] == [0, 1]
    assert whole.record.merged_from == ("id-one, seed 1", "id-other, seed 2")
    assert check(whole, view(whole)).counted == check(whole, view(whole)).written


def test_successive_looks_keep_their_rate(tmp_path: Path) -> None:
    looks = [part(tmp_path, f"look{i}", wall_ns=i * 3_600 * S, seed=i) for i in range(3)]
    whole = merge(looks, tmp_path / "all")
    assert [each.name for each in whole.record.phases] == ["warmup", "steady"] * 3
    assert whole.record.phases[3].start_ns == 15 * S
    seen = view(whole)
    assert len(seen.on("steady")) == 1_500
    assert tell_throughput(seen.on("all")).scheduled_per_s == pytest.approx(100)
    for phase, record in enumerate(whole.record.phases):
        inside = whole.planned["intended_ns"][whole.planned["phase"] == phase]
        assert (inside >= record.start_ns).all()
        assert (inside < record.end_ns).all()
    assert check(whole, seen).send_rate == 1
    (group,) = [each for each in tell_latency(seen, seen.on("all")).groups if each.by == "phase"]
    assert (group.name, group.scheduled, group.per_second) == ("steady", 1_500, 100)


def test_a_merged_run_is_as_strict_as_its_looks(tmp_path: Path) -> None:
    machines = [part(tmp_path, f"machine{i}", wall_ns=i * S) for i in range(2)]
    assert merge(machines, tmp_path / "at once").record.looks == 1
    again = part(tmp_path, "again", wall_ns=3_600 * S)
    assert merge([machines[0], again], tmp_path / "one after the other").record.looks == 2
    planned = with_looks(part(tmp_path, "planned", wall_ns=S), 3)
    assert open_run(planned.path).record.looks == 3
    assert merge([machines[0], planned], tmp_path / "mixed").record.looks == 3


def test_a_merge_that_is_cut_short_is_no_complete_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("loadtest.merge._samples", full)
    with pytest.raises(KeyboardInterrupt):
        merge([part(tmp_path, "one"), part(tmp_path, "other", wall_ns=S)], tmp_path / "both")
    assert open_run(tmp_path / "both").record.status == "planned"


def test_names_are_renumbered_and_rows_move(tmp_path: Path) -> None:
    one = part(tmp_path, "one", channels=("chat", "voice"), criticalities=("critical",))
    other = part(
        tmp_path,
        "other",
        wall_ns=S,
        channels=("voice", "chat"),
        routes=("loans", "cards", "extra"),
        repeats=(Repeat(row=7, rung="small", route="a", reference="b", reference_rung="large", same=False),),
        faults=(FaultRecord(kind="proxy", what="", begin_ns=2 * S, end_ns=3 * S),),
    )
    whole = merge([one, other], tmp_path / "both")
    record = whole.record
    assert record.channels == ("chat", "voice")
    assert record.routes == ("cards", "loans", "extra")
    for run, first in ((one, 0), (other, 1_000)):
        for at in (0, 1, 999):
            wanted = run.record.routes[run.samples["route"][at]]
            assert record.routes[whole.samples["route"][first + at]] == wanted
            channel = run.record.channels[run.planned["channel"][at]]
            assert record.channels[whole.planned["channel"][first + at]] == channel
    assert [each.row for each in record.repeats] == [1_007]
    assert record.faults[0].begin_ns == 3 * S


def test_what_the_agents_of_all_runs_saw(tmp_path: Path) -> None:
    runs = []
    for name, offers, waiting, ended_s in (("long", 10, 5, 30), ("short", 20, 4, 10)):
        book = Book(3)
        book.counts["offers"] = offers
        began_ns = S * (name == "short")
        runs.append(part(tmp_path, name, wall_ns=began_ns, ended_ns=ended_s * S, agents=book.close(waiting)))
    both = merge(runs, tmp_path / "both").record.agents
    assert both is not None
    assert (both.agents, both.offers) == (3, 30)
    assert both.waiting == 5  # seen by the one that ended last, though it began first
    nobody = [part(tmp_path, "one"), part(tmp_path, "other", wall_ns=S)]
    assert merge(nobody, tmp_path / "nobody").record.agents is None


def test_what_never_happened_does_not_move(tmp_path: Path) -> None:
    one, other = part(tmp_path, "one"), part(tmp_path, "other", wall_ns=2 * S)
    lost = fabricate(
        tmp_path / "lost", [NEVER] * 3, id="lost", origin_wall_ns=S, of=other.record.scenario, ended_ns=10 * S,
        phases=other.record.phases,
    )  # fmt: skip
    whole = merge([one, lost, other], tmp_path / "all")
    assert (whole.samples["done_ns"][1_000:1_003] == NEVER).all()
    assert view(whole).counts()["unfinished"] == 3


def test_a_run_that_was_cut_short_makes_the_whole_one_so(tmp_path: Path) -> None:
    one, other = part(tmp_path, "one"), part(tmp_path, "other", wall_ns=S)
    cut = replace(other, record=msgspec.structs.replace(other.record, status="interrupted"))
    assert merge([one, cut], tmp_path / "both").record.status == "interrupted"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"of": scenario(10, name="elsewhere")}, "name is 'elsewhere', not 'fabricated'"),
        ({"of": scenario(20)}, r"phases\[0\].for is '20s', not '10s'"),
        ({"labels": ("cards",)}, "other payloads"),
        ({"engine": "aiohttp"}, "engine aiohttp, not raw"),
        ({"id": "id-one"}, "is the same run as"),
    ],
)
def test_runs_that_do_not_go_together(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    one = part(tmp_path, "one")
    other = part(tmp_path, "other", **fields)  # type: ignore[arg-type]
    with pytest.raises(RunError, match=message):
        merge([one, other], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    one, other = part(tmp_path, "one"), part(tmp_path, "other", wall_ns=S)
    with pytest.raises(RunError, match="not empty"):
        merge([one, other], one.path)
    assert msgspec.json.decode((one.path / "run.json").read_bytes())["id"] == "id-one"
