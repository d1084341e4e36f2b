"""Other load testers, each on the generator's core against one URL: wrk, hey, k6 and Locust's FastHttpUser.

Looked for beside the interpreter and on the PATH; the environment's `WRK`, `HEY`, `K6` and `LOCUST` name another one.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from tests.bench.load_measure import BODY
from tests.bench.server_process import GENERATOR_CORE

_PATH = "/v1/interactions"
_TEXT = BODY.decode()
_QUANTILES = (50.0, 90.0, 99.0, 99.9)
_GRACE_S = 60.0

_WRK_SCRIPT = f"""
wrk.method, wrk.body, wrk.headers["Content-Type"] = "POST", '{_TEXT}', "application/json"
done = function(summary, latency)
  local found = {{}}
  for _, each in ipairs({{ {", ".join(f"{each:g}" for each in _QUANTILES)} }}) do
    found[#found + 1] = string.format("%.0f", latency:percentile(each))
  end
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
  io.write(string.format('\\nJSON{{"count":%d,"took_us":%d,"bad":%d,"quantiles_us":[%s]}}\\n',
    summary.requests, summary.duration, bad + summary.errors.timeout, table.concat(found, ",")))
end
"""

_K6_SCRIPT = f"""
import http from "k6/http";
export const options = {{
  discardResponseBodies: true,
  scenarios: {{ steady: {{
    executor: "constant-arrival-rate", rate: Number(__ENV.RATE), timeUnit: "1s", duration: __ENV.FOR,
    preAllocatedVUs: Number(__ENV.VUS), maxVUs: Number(__ENV.VUS), gracefulStop: "10s",
  }} }},
  summaryTrendStats: [{", ".join(f'"p({each:g})"' for each in _QUANTILES)}],
}};
const sent = {{ headers: {{ "Content-Type": "application/json" }} }};
export default () => {{ http.post(__ENV.URL, '{_TEXT}', sent); }};
export const handleSummary = (data) => ({{ [__ENV.OUT]: JSON.stringify(data.metrics) }});
"""

_LOCUST_FILE = f"""
from locust import FastHttpUser, task

class User(FastHttpUser):
    @task
    def ask(self):
        self.client.post("{_PATH}", data={BODY!r}, headers={{"Content-Type": "application/json"}})
"""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool says of a run. Quantiles of 50, 90, 99 and 99.9 % in ms; `bad`: failed or never sent."""

    tool: str
    per_s: float
    requests: int
    bad: int
    quantiles_ms: tuple[float, ...]
    latencies_ms: list[float] = []  # each one, ascending, where the tool tells
    note: str = ""


class Missing(Exception):
    """A tool is not installed; the message says what to do."""


def wrk(url: str, seconds: float, connections: int) -> Said:
    """A closed loop: as fast as answers come, on so many connections. Raises: Missing."""
    with TemporaryDirectory() as folder:
        script = Path(folder, "post.lua")
        script.write_text(_WRK_SCRIPT, encoding="utf-8")
        options = ["-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(script)]
        said = _run("wrk", [*options, url + _PATH], seconds)
    found = msgspec.json.decode(said[said.index("\nJSON") + 5 :])
    return Said(
        tool="wrk",
        per_s=found["count"] / found["took_us"] * 1e6,
        requests=found["count"],
        bad=found["bad"],
        quantiles_ms=tuple(each / 1e3 for each in found["quantiles_us"]),
    )


def hey(url: str, seconds: float, connections: int, rate: float) -> Said:
    """Closed connections, each of them with its part of the rate as a limit. Raises: Missing."""
    options = ["-z", f"{seconds:g}s", "-c", str(connections), "-q", f"{rate / connections:g}", "-m", "POST"]
    options += ["-T", "application/json", "-d", _TEXT, "-t", "30", "-cpus", "1", "-o", "csv"]
    rows = list(csv.DictReader(io.StringIO(_run("hey", [*options, url + _PATH], seconds))))
    latencies = np.sort([float(row["response-time"]) * 1e3 for row in rows])
    return Said(
        tool="hey",
        per_s=len(rows) / seconds,
        requests=len(rows),
        bad=sum(row["status-code"] != "200" for row in rows),
        quantiles_ms=tuple(np.percentile(latencies, _QUANTILES, method="inverted_cdf").tolist()),
        latencies_ms=latencies.tolist(),
    )


def k6(url: str, seconds: float, rate: float, users: int = 200) -> Said:
    """A constant arrival rate, with `users` made beforehand and never more. Raises: Missing.

    Its quantiles are of http_req_duration: from the first byte sent to the last one read.
    """
    with TemporaryDirectory() as folder:
        script, out = Path(folder, "script.js"), Path(folder, "out.json")
        script.write_text(_K6_SCRIPT, encoding="utf-8")
        told = {"URL": url + _PATH, "RATE": f"{rate:g}", "FOR": f"{seconds:g}s", "VUS": str(users), "OUT": str(out)}
        options = [word for key, value in told.items() for word in ("-e", f"{key}={value}")]
        _run("k6", ["run", "--quiet", "--no-usage-report", *options, str(script)], seconds)
        found = {name: each["values"] for name, each in msgspec.json.decode(out.read_bytes()).items()}
    dropped = found.get("dropped_iterations", {"count": 0})["count"]
    requests = int(found["http_reqs"]["count"])
    return Said(
        tool="k6",
        per_s=requests / seconds,
        requests=requests,
        bad=int(found["http_req_failed"]["passes"] + dropped),
        quantiles_ms=tuple(found["http_req_duration"][f"p({each:g})"] for each in _QUANTILES),
    )


def locust(url: str, seconds: float, users: int) -> Said:
    """A closed loop of FastHttpUsers in one process. Raises: Missing. It rounds quantiles, so none are given."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "locustfile.py")
        file.write_text(_LOCUST_FILE, encoding="utf-8")
        options = ["--headless", "--skip-log", "--json", "-f", str(file), "-H", url, "-u", str(users)]
        said = _run("locust", [*options, "-r", str(users), "-t", f"{seconds:g}s"], seconds)
    (found,) = msgspec.json.decode(said)
    took_s = found["last_request_timestamp"] - found["start_time"]
    requests = found["num_requests"]
    return Said(tool="locust", per_s=requests / took_s, requests=requests, bad=found["num_failures"], quantiles_ms=())


def find(name: str) -> str:
    """Raises: Missing."""
    beside = str(Path(sys.executable).parent)
    where = os.pathsep.join((beside, os.environ.get("PATH", "")))
    found = os.environ.get(name.upper()) or shutil.which(name, path=where)
    if found is None:
        raise Missing(f"no {name}: install it, or name it with {name.upper()}=…")
    return found


def _run(name: str, options: list[str], seconds: float) -> str:
    """Its stdout. The core is set before it starts, as threads keep the core of who made them."""
    command = ["taskset", "-c", str(GENERATOR_CORE), find(name), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _GRACE_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} ended with status {done.returncode}: {done.stderr[-2_000:]}{done.stdout[-500:]}")
    return done.stdout
