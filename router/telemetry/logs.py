"""Log lines on stderr: JSON for machines, text on a terminal.

A thread writes them, so that a reader that does not read cannot stop the event loop.
Say what happened as the message and the facts as `extra`: `log.warning("log_failing", extra={"path": path})`.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, TextIO

import msgspec

if TYPE_CHECKING:
    from router.telemetry.settings import LogFormat, LogLevel

_MAX_LINES = 10_000
_CLOSE_S = 1.0
_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_ENCODER = msgspec.json.Encoder(enc_hook=repr)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, event, logger, then the record's `extra` (decision_id, …)."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": _timestamp(record),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        line |= {name: value for name, value in _extra(record).items() if name not in line}
        if error := _error(self, record):
            line["error"] = error
        return _ENCODER.encode(line).decode()


class TextFormatter(logging.Formatter):
    """For people: time, level, event, then the extra facts as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {name}={_plain(value)}" for name, value in _extra(record).items())
        line = f"{_timestamp(record)} {record.levelname:<7} {record.getMessage()}{facts}"
        error = _error(self, record)
        return f"{line}\n{error}" if error else line


class LineHandler(logging.Handler):
    """Formats on the caller's thread and writes on its own.

    A full queue drops the line and counts it; how many were lost is written as soon as there is room again.
    """

    def __init__(self, stream: TextIO, max_lines: int = _MAX_LINES) -> None:
        super().__init__()
        self._stream = stream
        self._max_lines = max_lines
        # Unlike Queue it is reentrant: a finalizer may log while this thread is in put().
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._overflowed = 0
        self._unwritten = 0
        self._thread = Thread(target=self._write_all, name="takt-log-lines", daemon=True)
        self._thread.start()

    @property
    def dropped_total(self) -> int:
        """Lines lost: the queue was full, or stderr was closed."""
        return self._overflowed + self._unwritten

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's line; never blocks, never raises."""
        if self._lines.qsize() >= self._max_lines:
            self._overflowed += 1
        else:
            self._lines.put(self._line(record))

    def close(self) -> None:
        """Write what is queued, but wait no longer than a second for it."""
        if self._thread.is_alive():
            self._lines.put(None)
            self._thread.join(_CLOSE_S)
        super().close()

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:  # noqa: BLE001 - a bad log call must not fail the request it reports on
            where = f"{record.pathname}:{record.lineno}"
            facts = {"template": ascii(record.msg), "where": where, "why": ascii(error)}
            return self.format(_record("log_line_malformed", logging.ERROR, facts))

    def _write_all(self) -> None:
        reported = 0
        while (line := self._lines.get()) is not None:
            lost = self._overflowed - reported
            if lost:
                reported += lost
                self._write(self.format(_record("log_lines_dropped", logging.WARNING, {"lines": lost})))
            self._write(line)

    def _write(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # closed by the other side, or by us: there is nowhere left to say so
            self._unwritten += 1


def configure(level: LogLevel, style: LogFormat, stream: TextIO | None = None) -> LineHandler:
    """Send all of the process's logging to `stream` (stderr), replacing what was set up before.

    Returns: the handler, to be closed last.
    """
    stream = sys.stderr if stream is None else stream
    is_text = style == "text" or (style == "auto" and stream.isatty())
    handler = LineHandler(stream)
    handler.setFormatter(TextFormatter() if is_text else JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        if isinstance(old, LineHandler):
            old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    return handler


def lines_dropped_total() -> int:
    """Lines lost so far by the handler that `configure` set up; 0 without one."""
    return sum(each.dropped_total for each in logging.getLogger().handlers if isinstance(each, LineHandler))


def _timestamp(record: logging.LogRecord) -> str:
    """RFC 3339, UTC, milliseconds."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _RESERVED}


def _error(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


def _plain(value: object) -> str:
    """Quote a value that would not read as one word, so that no value can forge a line."""
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)


def _record(event: str, level: int, facts: dict[str, str] | dict[str, int]) -> logging.LogRecord:
    name = logging.getLevelName(level)
    return logging.makeLogRecord({"name": __name__, "msg": event, "levelno": level, "levelname": name, **facts})
