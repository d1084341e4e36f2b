"""`takt loadtest report` and `merge`, from arguments to files and exit codes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from loadtest.command import arguments, merge, report
from loadtest.errors import LoadtestError, RunError, ScenarioError
from loadtest.run import Run, WorkerHealth
from loadtest.scenario.spec import GateSpec
from tests.fabricated import MS, S, fabricate, scenario


def a_run(path: Path, **fields: object) -> Run:
    worker = WorkerHealth(
        index=0, ended="done", wall_ns=10 * S, cpu_ns=S, paced_total=1_000, sent_total=1_000, answered_total=1_000
    )
    return fabricate(path, [10 * MS] * 1_000, **{"workers": (worker,), **fields})  # type: ignore[arg-type]


def called(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    arguments.add(parser.add_subparsers())
    args = parser.parse_args(["loadtest", *map(str, words)])
    return merge.run(args) if args.action == "merge" else report.run(args)


def test_text_ends_with_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(tmp_path / "run")
    assert called("report", run.path, "--gate", "p99 <= 50ms") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("PASS")
    assert called("report", run.path, "--gate", "p99 <= 5ms") == 1
    assert any(line.startswith("FAIL") for line in capsys.readouterr().out.splitlines())


def test_the_scenarios_gates_are_judged_again(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", of=scenario(10, gates=[GateSpec(expr="p99 <= 5ms")]))
    assert called("report", run.path, "--json") == 1


def test_every_output_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(tmp_path / "run")
    base = a_run(tmp_path / "base")
    junit, log = tmp_path / "deep" / "gates.xml", tmp_path / "run.hlog"
    words: list[str | Path] = ["--html", "--json", "--junit", junit, "--hlog", log, "--baseline", base.path]
    assert called("report", run.path, *words) == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["comparison"]["base"] == "base"
    assert "report.html" in out.err
    assert "Against the baseline" in (run.path / "report.html").read_text()
    assert junit.read_bytes().startswith(b"<?xml")
    assert called("report", log) == 0
    assert "TotalCount" in capsys.readouterr().out
    assert called("report", run.path, "--hgrm") == 0
    told = capsys.readouterr().out
    assert "TotalCount" in told
    assert "UNGATED" not in told
    assert called("report", run.path, "--md", "--html", tmp_path / "x.html") == 0
    assert capsys.readouterr().out.startswith("### ")
    assert (tmp_path / "x.html").exists()


def test_rendering_twice_gives_the_same_page(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    for name in ("a.html", "b.html"):
        called("report", run.path, "--html", tmp_path / name, "--baseline", run.path)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_several_runs_are_reported_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = a_run(tmp_path / "good"), a_run(tmp_path / "bad", lag_ns=50 * MS)
    assert called("report", good.path, bad.path, "--html") == 4
    assert (good.path / "report.html").exists()
    assert (bad.path / "report.html").exists()
    assert capsys.readouterr().out.count("scheduled =") == 2


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("report", "{tmp}/nowhere"), RunError),
        (("report", "{tmp}/run", "{tmp}/run", "--junit", "{tmp}/x.xml"), ScenarioError),
        (("report", "{tmp}/run", "--gate", "speed > 9000"), ScenarioError),
        (("report", "{tmp}/run", "--html", "{tmp}/run/run.json/x.html"), RunError),
        (("report", "{tmp}/nowhere.hlog"), RunError),
        (("merge", "{tmp}/run", "{tmp}/run", "--out", "{tmp}/both"), RunError),
    ],
)
def test_what_cannot_be_says_so(tmp_path: Path, words: tuple[str, ...], kind: type[LoadtestError]) -> None:
    a_run(tmp_path / "run")
    with pytest.raises(kind) as caught:
        called(*(word.format(tmp=tmp_path) for word in words))
    assert caught.value.exit_code == 2


def test_merge_writes_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = a_run(tmp_path / "one", id="1"), a_run(tmp_path / "other", id="2")
    assert called("merge", one.path, other.path, "--out", tmp_path / "both") == 0
    assert "2,000 requests of 2 runs" in capsys.readouterr().out
    assert called("report", tmp_path / "both", "--json") == 0
    assert json.loads(capsys.readouterr().out)["books"]["whole"]["scheduled"] == 2_000


def test_a_merged_run_is_not_easier_to_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """500 requests without a miss prove a p99 if they are looked at once, of two machines too, but not in two looks."""
    verdicts = []
    for name, sizes, apart_s in (("once", [500], 0), ("machines", [250, 250], 1), ("looks", [250, 250], 3_600)):
        parts = []
        for at, size in enumerate(sizes):
            worker = WorkerHealth(
                index=0, ended="done", wall_ns=S, paced_total=size, sent_total=size, answered_total=size
            )
            path = tmp_path / f"{name}-{at}"
            run = fabricate(
                path,
                [10 * MS] * size,
                id=f"{name}{at}",
                workers=(worker,),
                of=scenario(9),
                origin_wall_ns=at * apart_s * S,
            )
            parts.append(run.path)
        if len(parts) > 1:
            called("merge", *parts, "--out", tmp_path / name)
        capsys.readouterr()
        called("report", tmp_path / name if len(parts) > 1 else parts[0], "--gate", "p99 <= 50ms", "--json")
        verdicts.append(json.loads(capsys.readouterr().out)["verdict"])
    assert verdicts == ["pass", "pass", "inconclusive"]
