"""The report in a real browser: it draws, runs its script, asks for nothing, and can be read without eyes."""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from loadtest.agents.book import AgentsRecord, Waits
from loadtest.gate.judge import judge
from loadtest.report.page import render
from loadtest.report.summary import summarise
from loadtest.run import FaultRecord, PhaseRecord, WorkerHealth
from loadtest.sample import NEVER
from loadtest.scenario.spec import GateSpec
from loadtest.view import view
from tests.fabricated import MS, S, fabricate

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

Browse = Callable[..., subprocess.CompletedProcess[str]]
# Steps to the first reading of the first figure that has some, as a reader without a mouse would.
PRESS = (
    "<script>document.querySelector('svg[data-readings]')"
    ".dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}));</script>"
)


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Browse:
    """Chromium without a window. What its pages log goes to stderr as CONSOLE lines."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        if os.environ.get("CI") == "true":
            raise FileNotFoundError("no chromium: the page is not looked at")
        pytest.skip("no chromium: the page is not looked at")
    profile = tmp_path_factory.mktemp("profile")

    def run(page: Path, *flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                found, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                "--no-first-run", "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND",
                f"--user-data-dir={profile}", "--window-size=1280,2400", *flags, page.as_uri(),
            ],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything in it: phases, a fault, three rungs, misses, gates of each verdict, simulated agents."""
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(5)
    intended = np.sort(rng.integers(0, 60 * S, 6_000))
    latency = rng.lognormal(np.log(8 * MS), 0.6, 6_000).astype(np.int64)
    latency[rng.random(6_000) < 0.002] = NEVER
    degraded = (intended > 20 * S) & (intended < 35 * S)
    status = np.where(rng.random(6_000) < 0.01, 429, 200)
    answered = int((latency != NEVER).sum())
    run = fabricate(
        folder / "run",
        latency,
        intended_ns=intended,
        status=status,
        rung=np.where(degraded, rng.choice(["small", "rules"], 6_000), "large"),
        degraded=np.where(degraded, "breaker", "none"),
        phases=(
            PhaseRecord(name="warmup", start_ns=0, end_ns=10 * S, measure=False),
            PhaseRecord(name="steady", start_ns=10 * S, end_ns=60 * S, measure=True),
        ),
        phase=intended >= 10 * S,
        faults=(FaultRecord(kind="server", what="large.delay_ms=80", begin_ns=19 * S, end_ns=30 * S),),
        agents=AgentsRecord(
            agents=40, offers=5_120, accepted=4_900, in_time=4_711, lost_races=12, expired=31, refused=0,
            completed=4_870, waiting=3, reconnected=1, over_capacity=0,
            offered=Waits(count=4_950, p50_ms=3.1, p99_ms=2_400, max_ms=9_100),
            assigned=Waits(count=4_900, p50_ms=810, p99_ms=5_900, max_ms=14_000),
            told=Waits(count=5_120, p50_ms=0.9, p99_ms=6, max_ms=48),
        ),
        workers=(
            WorkerHealth(
                index=0, ended="done", wall_ns=60 * S, cpu_ns=9 * S, paced_total=6_000, sent_total=6_000,
                answered_total=answered,
            ),
        ),
    )  # fmt: skip
    whole = view(run)
    gates = [GateSpec(expr="attainment() >= 0.5 and p99 <= 1ms and attainment() >= 0.985")]
    file = folder / "report.html"
    file.write_text(render(summarise(run, whole, judge(whole, gates, payloads=run.payloads))), "utf-8")
    return file


class _Dom(HTMLParser):
    """What stands in the document, in its order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, list[str]] = {}
        self._within: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self._within.append(found.get("class") or tag)

    def handle_endtag(self, tag: str) -> None:
        if self._within:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if self._within:
            self.words.setdefault(self._within[-1], []).append(data)


def test_it_runs_without_an_error_and_asks_for_nothing(browse: Browse, page: Path) -> None:
    seen = browse(page, "--dump-dom")
    assert "CONSOLE" not in seen.stderr
    dom = _Dom(seen.stdout)
    # The script has run: it writes this.
    figures = sum("data-readings" in attributes for _, attributes in dom.tags)
    assert figures >= 5
    assert sum("arrow keys" in words for words in dom.words["reading"]) == figures
    (policy,) = [found["content"] or "" for tag, found in dom.tags if found.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    assert not [found for _, found in dom.tags if found.keys() & {"src", "srcset", "data", "action"}]
    assert all((found.get("href") or "#").startswith("#") for _, found in dom.tags)


def test_the_policy_would_stop_a_stranger(browse: Browse, page: Path, tmp_path: Path) -> None:
    """And an error in the console would be seen."""
    changed = tmp_path / "changed.html"
    changed.write_text(page.read_text("utf-8").replace("</body>", "<script>document.title = 1</script></body>"))
    assert "CONSOLE" in browse(changed, "--dump-dom").stderr


def test_a_figure_is_read_off_with_the_keyboard(browse: Browse, page: Path, tmp_path: Path) -> None:
    html = page.read_text("utf-8")
    begin = html.index('<meta http-equiv="Content-Security-Policy"')
    pressed = tmp_path / "pressed.html"
    pressed.write_text((html[:begin] + html[html.index(">", begin) + 1 :]).replace("</body>", PRESS + "</body>"))
    shown = browse(pressed, "--dump-dom").stdout
    reading = shown[shown.index('class="reading"') :]
    assert "arrow keys" not in reading[: reading.index("</p>")]
    assert "request" in reading[: reading.index("</p>")]


@pytest.mark.parametrize("flags", [(), ("--blink-settings=preferredColorScheme=0",)], ids=["light", "dark"])
def test_it_can_be_seen(browse: Browse, page: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    empty = tmp_path / "empty.html"
    empty.write_text("<!doctype html><title>nothing</title>")
    pictures = tmp_path / "page.png", tmp_path / "empty.png"
    for source, picture in zip((page, empty), pictures, strict=True):
        browse(source, f"--screenshot={picture}", *flags)
    drawn, blank = (picture.read_bytes() for picture in pictures)
    # What has nothing on it compresses to almost nothing.
    assert len(drawn) > 10 * len(blank)
    assert (_corner(drawn) > 128) == (not flags)


def _corner(png: bytes) -> int:
    """Brightness of the first pixel of a PNG: whatever filter its row has, it stands there as it is."""
    at, data = 8, b""
    while at < len(png):
        size = int.from_bytes(png[at : at + 4], "big")
        data += png[at + 8 : at + 8 + size] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += size + 12
    return sum(zlib.decompress(data)[1:4]) // 3


def test_it_can_be_read_without_eyes(browse: Browse, page: Path) -> None:
    dom = _Dom(browse(page, "--dump-dom").stdout)
    tags = dom.tags
    ids = Counter(found["id"] for _, found in tags if "id" in found)
    assert not [name for name, often in ids.items() if often > 1]
    (html,) = [found for tag, found in tags if tag == "html"]
    assert html["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in tags if tag in {"h1", "h2", "h3"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert {found.get("scope") for tag, found in tags if tag == "th"} == {"col", "row"}
    pictures = [found for tag, found in tags if tag == "svg" and found.get("aria-hidden") != "true"]
    assert len(pictures) >= 5
    named = [name for found in pictures for name in (found["aria-labelledby"] or "").split()]
    assert all(ids[name] == 1 for name in named)
    assert all(found["role"] == "img" for found in pictures)
    tables = sum(tag == "table" for tag, _ in tags)
    assert sum(tag == "caption" for tag, _ in tags) == tables > 5
    targets = {found["href"] for tag, found in tags if tag == "a"}
    assert {target for target in targets if target and ids[target[1:]] != 1} == set()
    assert [tag for tag, _ in tags if tag == "main"] == ["main"]
