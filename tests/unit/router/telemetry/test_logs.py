from __future__ import annotations

import io
import json
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from router.telemetry import logs
from router.telemetry.logs import JsonFormatter, LineHandler, TextFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG = logging.getLogger("takt.test")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        if isinstance(handler, LineHandler):
            handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.usefixtures("root")
def test_a_json_line_has_the_facts() -> None:
    stream = io.StringIO()
    handler = logs.configure("info", "json", stream)
    LOG.info("decided %d", 1, extra={"decision_id": "d-1", "where": b"odd"})
    LOG.debug("not written")
    handler.close()
    (line,) = lines(stream)
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "info", "event": "decided 1", "logger": "takt.test", "decision_id": "d-1", "where": "b2Rk",
    }  # fmt: skip


@pytest.mark.usefixtures("root")
def test_an_exception_stays_on_its_line() -> None:
    stream = io.StringIO()
    handler = logs.configure("info", "json", stream)
    LOG.error("failed", exc_info=RuntimeError("broken\nin two"))
    handler.close()
    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("failed", "error")
    assert "RuntimeError: broken" in line["error"]


def test_extra_facts_cannot_replace_the_own_fields() -> None:
    record = logging.makeLogRecord({"msg": "true", "name": "n", "levelname": "INFO", "event": "forged", "ts": "never"})
    line = json.loads(JsonFormatter().format(record))
    assert line["event"] == "true"
    assert line["ts"] != "never"


def test_text_is_for_people_and_values_cannot_forge_a_line() -> None:
    record = logging.makeLogRecord({"msg": "slow", "levelname": "WARNING", "took_ms": 5, "text": "a\nERROR forged"})
    line = TextFormatter().format(record)
    assert line.endswith(r"WARNING slow took_ms=5 text='a\nERROR forged'")
    assert "\n" not in line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "style", "expected"),
    [
        (Terminal(), "auto", TextFormatter),
        (io.StringIO(), "auto", JsonFormatter),
        (Terminal(), "json", JsonFormatter),
        (io.StringIO(), "text", TextFormatter),
    ],
)
@pytest.mark.usefixtures("root")
def test_the_format_follows_the_stream_unless_named(stream: io.StringIO, style: Any, expected: type) -> None:
    assert isinstance(logs.configure("info", style, stream).formatter, expected)


def test_configuring_again_replaces(root: logging.Logger) -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("info", "json", first)
    handler = logs.configure("warning", "json", second)
    LOG.warning("once")
    handler.close()
    assert root.handlers == [handler]
    assert first.getvalue() == ""
    assert [line["event"] for line in lines(second)] == ["once"]


@pytest.mark.usefixtures("root")
def test_a_malformed_call_is_reported_not_raised() -> None:
    stream = io.StringIO()
    handler = logs.configure("info", "json", stream)
    LOG.info("%d files", "three")
    LOG.info("fine")
    handler.close()
    malformed, fine = lines(stream)
    assert malformed["event"] == "log_line_malformed"
    assert "%d files" in malformed["template"]
    assert "test_logs.py" in malformed["where"]
    assert fine["event"] == "fine"


class Blocked(io.StringIO):
    """A stream whose reader does not read until told."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = threading.Event()

    def write(self, text: str, /) -> int:
        self.entered.set()
        assert self.released.wait(30)
        return super().write(text)


def test_a_blocked_stream_stops_nobody_and_the_loss_is_told() -> None:
    stream = Blocked()
    handler = LineHandler(stream, max_lines=3)
    handler.setFormatter(JsonFormatter())
    handler.emit(logging.makeLogRecord({"msg": "first"}))
    assert stream.entered.wait(30)
    for number in range(10):
        handler.emit(logging.makeLogRecord({"msg": f"queued {number}"}))
    assert handler.dropped_total == 7
    stream.released.set()
    handler.close()
    events = [(line["event"], line.get("lines")) for line in lines(stream)]
    assert events == [
        ("first", None), ("log_lines_dropped", 7), ("queued 0", None), ("queued 1", None), ("queued 2", None),
    ]  # fmt: skip


@pytest.mark.usefixtures("root")
def test_lost_lines_are_known_to_whoever_asks() -> None:
    assert logs.lines_dropped_total() == 0
    stream = io.StringIO()
    handler = logs.configure("info", "json", stream)
    stream.close()
    LOG.info("nobody listens")
    handler.close()
    assert logs.lines_dropped_total() == 1


def test_a_closed_reader_is_counted() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    handler = LineHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.emit(logging.makeLogRecord({"msg": "nobody listens"}))
    handler.close()
    assert handler.dropped_total == 1
    with pytest.raises(BrokenPipeError):
        stream.close()
