"""What is made of a summary: page, Markdown, text, JUnit, JSON. Their structure, not their wording."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest

from loadtest.agents.book import AgentsRecord, Waits
from loadtest.compare import Comparison, compare
from loadtest.gate.judge import judge
from loadtest.quantity import to_json
from loadtest.report.draw.evidence import episode_words
from loadtest.report.draw.plot import nice
from loadtest.report.draw.section import banner_words, headlines
from loadtest.report.draw.words import clock, percent
from loadtest.report.junit import to_junit
from loadtest.report.markdown import to_markdown
from loadtest.report.page import render
from loadtest.report.summary import Summary, summarise
from loadtest.report.text import books_lines, tables, verdict_lines
from loadtest.run import FaultRecord, PhaseRecord, Run, WorkerHealth, open_run
from loadtest.sample import NEVER
from loadtest.scenario.spec import GateSpec
from loadtest.view import view
from tests.fabricated import MS, S, fabricate, scenario

AGENTS = AgentsRecord(
    agents=7, offers=1_234, accepted=800, in_time=600, lost_races=31, expired=32, refused=33, completed=700,
    waiting=34, reconnected=35, over_capacity=0,
    assigned=Waits(count=801, p50_ms=1.5, p99_ms=2_500, max_ms=60_000),
    told=Waits(count=9, p50_ms=None, p99_ms=None, max_ms=3),
)  # fmt: skip
OVER = msgspec.structs.replace(AGENTS, over_capacity=2)
PASSING, FAILING, OPEN = "attainment() >= 0.5", "p99 <= 1ms", "attainment() >= 0.999999"


def a_run(path: Path, **fields: object) -> Run:
    latency = np.where(np.arange(1_000) % 100 == 99, NEVER, 10 * MS)
    answered = int((latency != NEVER).sum())
    worker = WorkerHealth(
        index=0, ended="done", wall_ns=10**10, cpu_ns=10**9, paced_total=1_000, sent_total=1_000,
        answered_total=answered,
    )  # fmt: skip
    return fabricate(path, latency, **{"workers": (worker,), **fields})  # type: ignore[arg-type]


def summary_of(run: Run, *gates: str, comparison: Comparison | None = None) -> Summary:
    whole = view(run)
    results = judge(whole, [GateSpec(expr=gate) for gate in gates], payloads=run.payloads)
    return summarise(run, whole, results, comparison)


@pytest.mark.parametrize(
    ("gates", "fields", "verdict", "code"),
    [
        ((PASSING,), {}, "pass", 0),
        ((PASSING, FAILING), {}, "fail", 1),
        ((OPEN,), {}, "fail", 1),
        ((), {}, "ungated", 0),
        ((FAILING,), {"status": "interrupted"}, "interrupted", 130),
        ((PASSING,), {"lag_ns": 50 * MS}, "invalid", 4),
        ((PASSING,), {"workers": ()}, "invalid", 4),
        ((PASSING,), {"status": "planned"}, "invalid", 4),
        ((PASSING,), {"agents": AGENTS}, "pass", 0),
        ((PASSING,), {"agents": OVER}, "fail", 1),
        ((), {"agents": OVER}, "fail", 1),
        ((PASSING,), {"agents": OVER, "lag_ns": 50 * MS}, "fail", 1),
        ((PASSING,), {"agents": OVER, "status": "interrupted"}, "fail", 1),
    ],
)
def test_verdict_and_exit_code(
    tmp_path: Path, gates: tuple[str, ...], fields: dict[str, object], verdict: str, code: int
) -> None:
    cut = {key: value for key, value in fields.items() if key == "status"}
    run = a_run(tmp_path / "run", **{key: value for key, value in fields.items() if key not in cut})
    run = replace(run, record=msgspec.structs.replace(run.record, **cut))
    summary = summary_of(run, *gates)
    assert (summary.verdict, summary.exit_code) == (verdict, code)
    assert verdict_lines(summary)[0].startswith(verdict.upper())


def test_requests_are_conserved_and_a_mismatch_is_shown(tmp_path: Path) -> None:
    good = summary_of(a_run(tmp_path / "good"))
    ledger = good.books.measured
    assert ledger.balance == 0
    assert (ledger.scheduled, ledger.ok, ledger.unfinished) == (1_000, 990, 10)
    assert good.books.mismatches == ()
    lying = (WorkerHealth(index=0, ended="done", paced_total=999, sent_total=1_000, answered_total=990),)
    bad = summary_of(a_run(tmp_path / "bad", workers=lying))
    (said,) = bad.books.mismatches
    assert "999" in said
    assert "1000" in said
    assert said in render(bad)
    assert 'class="books fail"' in render(bad)
    assert 'class="books"' in render(good)
    assert any(said in line for line in books_lines(bad))
    assert said in to_markdown(bad)


def test_json_has_every_section_and_no_infinity(tmp_path: Path) -> None:
    summary = summary_of(a_run(tmp_path / "run"), PASSING, FAILING)
    told = msgspec.json.decode(to_json(summary))
    assert set(told) == set(Summary.__struct_fields__)
    assert told["latency"]["quantiles"][-1]["intended_ns"] is None
    assert [gate["verdict"] for gate in told["gates"]] == ["pass", "fail"]


def test_what_agents_saw_comes_back_from_disk_and_is_in_every_report(tmp_path: Path) -> None:
    made = a_run(tmp_path / "run", agents=AGENTS)
    summary = summary_of(open_run(made.path), PASSING)
    assert msgspec.json.decode(to_json(summary))["agents"] == msgspec.to_builtins(AGENTS)
    page, told = render(summary), to_markdown(summary)
    section = page[page.index('<h2 id="agents">') : page.index('<h2 id="failures">')]
    (counts, times) = tables(summary)[-2:]
    assert counts.columns[0] == "7 simulated agents"
    counted = [cell for _, cell in counts.rows]
    assert counted == ["1,234", "800", "600", "31", "32", "33", "700", "34", "35", "0"]
    assert "(75 %)" in counts.rows[2][0]
    assert times.rows == (
        ("created to assigned", "801", "1.50 ms", "2.50 s", "60.0 s"),
        ("offered to told the agent", "9", "not merged", "not merged", "3.00 ms"),
    )
    for row in (*counts.rows, *times.rows):
        assert f"| {' | '.join(row)} |" in told
        assert row[0].replace("'", "&#x27;") in section
        assert all(f'<td class="n">{cell}</td>' in section for cell in row[1:])
    nobody = summary_of(a_run(tmp_path / "nobody"), PASSING)
    assert nobody.agents is None
    assert 'id="agents"' not in render(nobody)
    assert "agents" not in to_markdown(nobody)


def test_who_held_too_much_is_said_even_of_a_run_whose_gates_tell_nothing(tmp_path: Path) -> None:
    late = summary_of(a_run(tmp_path / "late", agents=OVER, lag_ns=50 * MS), PASSING)
    said, *rest = banner_words(late)
    assert "2 times" in said
    assert any("late" in line for line in rest)
    assert not any("held." in line for line in rest)
    assert said in render(late)
    assert said in to_markdown(late)


class _Page(HTMLParser):
    """What is in it: start tags with their attributes, and balance."""

    void = ("meta", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def test_page_is_well_formed_and_loads_nothing(tmp_path: Path) -> None:
    html = render(summary_of(a_run(tmp_path / "run"), PASSING, FAILING))
    page = _Page(html)
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert not [tag for tag, _ in page.found if tag in {"link", "img", "iframe", "object", "base"}]
    assert not [a for _, a in page.found if "src" in a or "style" in a or not (a.get("href") or "#").startswith("#")]
    assert "url(" not in html
    assert "@import" not in html
    assert all(f"#{at}" in html for at in ("gates", "validity", "latency", "attainment", "ladder", "quality", "origin"))
    assert len(html) < 2_000_000


def test_what_a_server_or_a_scenario_says_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>|`@x`\x1b[31m\u202e"
    run = a_run(
        tmp_path / "run",
        routes=(evil, "loans"),
        command=evil,
        environment={evil: evil},
        engine=evil,
        of=scenario(10, description=evil),
    )
    summary = summary_of(run, PASSING)
    html, told = render(summary), to_markdown(summary)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    # In Markdown it stands in code alone, where nothing is taken for markup.
    assert "<script>alert" not in re.sub(r"`[^`]*`", "", told)
    assert "\x1b" not in told
    assert b"\x1b" not in to_junit(summary)
    ET.fromstring(to_junit(summary))


def test_markdown_tables_have_as_many_cells_as_columns(tmp_path: Path) -> None:
    told = to_markdown(summary_of(a_run(tmp_path / "run"), PASSING, FAILING))
    blocks = [block.splitlines() for block in told.split("\n\n") if block.startswith("|")]
    assert len(blocks) >= 3
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block}) == 1
    assert "FAIL" in told.splitlines()[0]


def test_text_tables_are_whole(tmp_path: Path) -> None:
    found = tables(summary_of(a_run(tmp_path / "run"), PASSING))
    assert all(len(row) == len(each.columns) for each in found for row in each.rows)
    assert found[0].columns[0] == "gate"


def test_the_page_and_the_terminal_have_the_same_words_for_a_fault(tmp_path: Path) -> None:
    faults = (
        FaultRecord(kind="server", what="harmless", begin_ns=2 * S, end_ns=3 * S),
        FaultRecord(kind="server", what="lasting", begin_ns=5 * S, end_ns=7 * S),
    )
    degraded = np.where(np.arange(1_000) < 600, "none", "error")
    summary = summary_of(fabricate(tmp_path / "run", [10 * MS] * 1_000, degraded=degraded, faults=faults))
    told = [episode_words(each) for each in summary.ladder.episodes]
    assert told == [("not degraded", "–"), ("1.00 s", "never")]
    page = render(summary)
    (shown,) = [each for each in tables(summary) if each.columns[0] == "after"]
    assert [row[-2:] for row in shown.rows] == told
    assert all(words in page for pair in told for words in pair)


def test_of_who_tells_no_rung_no_quality_is_shown(tmp_path: Path) -> None:
    told = summary_of(a_run(tmp_path / "run", rung="", degraded=""), PASSING)
    assert not any("quality" in words or "agreement" in words for _, words in headlines(told))
    assert "How good the answers were" not in render(told)
    assert "do not say by whom" in render(told)


def junit_kinds(summary: Summary, *, strict: bool = False) -> list[list[str]]:
    root = ET.fromstring(to_junit(summary, strict=strict))
    (suite,) = root.findall("testsuite")
    cases = suite.findall("testcase")
    assert suite.get("tests") == str(len(cases))
    for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert suite.get(plural) == str(len(suite.findall(f"testcase/{kind}")))
    return [[child.tag for child in case] for case in cases]


def test_junit_of_every_verdict(tmp_path: Path) -> None:
    # 10 of 1,000 miss: a share of 99 % is neither proved nor refuted.
    open_gate = "attainment() >= 0.99"
    summary = summary_of(a_run(tmp_path / "run"), PASSING, FAILING, open_gate)
    assert [each.verdict for each in summary.gates] == ["pass", "fail", "inconclusive"]
    assert junit_kinds(summary) == [[], ["failure"], ["skipped"]]
    assert junit_kinds(summary, strict=True) == [[], ["failure"], ["failure"]]
    invalid = summary_of(a_run(tmp_path / "invalid", lag_ns=50 * MS), PASSING, FAILING)
    assert junit_kinds(invalid) == [["error"], ["error"]]
    assert junit_kinds(summary_of(a_run(tmp_path / "none"))) == [[]]
    assert junit_kinds(summary_of(a_run(tmp_path / "agents", agents=AGENTS), PASSING)) == [[], []]
    over = summary_of(a_run(tmp_path / "over", agents=OVER, lag_ns=50 * MS), PASSING)
    assert junit_kinds(over) == [["error"], ["failure"]]


def test_comparison_is_shown(tmp_path: Path) -> None:
    base, new = (fabricate(tmp_path / name, [10 * MS] * 1_000) for name in ("base", "new"))
    found = compare([(view(base), view(new))], np.random.default_rng(1), names=("old & gold", "new"))
    summary = summary_of(new, comparison=found)
    assert 'id="comparison"' in render(summary)
    assert "old &amp; gold" in render(summary)
    assert "old &amp; gold" in to_markdown(summary)
    assert 'id="comparison"' not in render(summary_of(new))


@pytest.mark.parametrize("latency", [[NEVER] * 50, [0] * 50, [10**13] * 3])
def test_odd_runs_are_drawn_too(tmp_path: Path, latency: list[int]) -> None:
    summary = summary_of(fabricate(tmp_path / "run", latency))
    html = render(summary)
    assert _Page(html).open == []
    assert not re.search(r"(?<![a-z])(nan|inf)(?![a-z])", html, re.IGNORECASE)
    assert to_markdown(summary)


def test_the_fullest_page_stays_below_two_megabytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    intended = np.sort(rng.integers(0, 120 * S, 40_000))
    phases = tuple(
        PhaseRecord(name=f"phase-{'x' * 50}-{i}", start_ns=i * 2 * S, end_ns=(i + 1) * 2 * S, measure=i > 0)
        for i in range(60)
    )
    faults = tuple(
        FaultRecord(kind="server", what="y" * 100, begin_ns=i * S, end_ns=i * S + S // 2) for i in range(100)
    )
    run = fabricate(
        tmp_path / "run",
        (10 ** rng.uniform(4, 11, 40_000)).astype(np.int64),
        intended_ns=intended,
        rung=rng.choice(["guard", "large", "small", "cache", "rules", "default"], 40_000),
        degraded=rng.choice(["none", "overload"], 40_000),
        phases=phases,
        phase=intended // (2 * S),
        faults=faults,
        ended_ns=120 * S,
    )
    assert 500_000 < len(render(summary_of(run, PASSING)).encode()) < 2_000_000


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (1.0, "100 %"),
        (0.99, "99 %"),
        (0.99996, "99.996 %"),
        (0.5, "50 %"),
        (0.00004, "0.004 %"),
        (0.0, "0 %"),
        (None, "–"),
    ],
)
def test_a_share_that_is_not_all_never_reads_as_all(share: float | None, words: str) -> None:
    assert percent(share) == words


def test_clock_and_ticks() -> None:
    assert [clock(ns) for ns in (0, 90 * 10**9, 500 * MS, 3_725 * 10**9)] == ["0:00", "1:30", "0:00.5", "1:02:05"]
    assert nice(0.93) == pytest.approx((0, 0.2, 0.4, 0.6, 0.8, 1.0))
    assert nice(1_000)[-1] == 1_000


def luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(each * 2 for each in colour)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_contrast_of_words_and_lines(mode: int) -> None:
    """WCAG 2: 4.5 for words, 3 for what must be seen."""
    style = (files("loadtest.report") / "static" / "report.css").read_text("utf-8")
    roots = re.findall(r":root \{([^}]*)\}", style)
    colours = {name: code for root in roots[: mode + 1] for name, code in re.findall(r"--([\w-]+): #(\w+);", root)}
    words = [(ink, back) for ink in ("ink", "soft", "link") for back in ("back", "card")]
    words += [(kind, f"{kind}-back") for kind in ("good", "bad", "open")]
    words += [("ink", f"{kind}-back") for kind in ("good", "bad", "open")]
    words += [("fault", "card"), *(("on", name) for name in colours if name.startswith("k-"))]
    words += [("on", f"s{i}") for i in range(7)]
    assert not {pair: round(contrast(*map(colours.__getitem__, pair)), 2) for pair in words
                if contrast(*map(colours.__getitem__, pair)) < 4.5}  # fmt: skip
    lines = [(f"s{i}", "card") for i in range(7)]
    assert not [pair for pair in lines if contrast(*map(colours.__getitem__, pair)) < 3]
