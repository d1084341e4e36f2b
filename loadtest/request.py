"""Requests as bytes. A text is rendered once; a request adds its id, its budget and, where wanted, a fresh word."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import numpy as np

from loadtest.quantity import MS
from loadtest.sample import NOT_SAID

if TYPE_CHECKING:
    from loadtest.run import Run

_FRESH = "\x00"
_FRESH_JSON = b"\\u0000"
_HASH = 2_654_435_761  # Knuth's multiplicative hash: consecutive rows get words that share no beginning
_ALREADY = {"host", "content-type", "content-length", "connection"}


def client_id(run_id: str, row: int) -> str:
    """The id that the request of a row has in its body."""
    return f"{run_id}-{row:09d}"


class Requests:
    """What each row of a run sends. Cost: about 1.5 us a request once its text was sent before."""

    def __init__(self, run: Run) -> None:
        record, planned = run.record, run.planned
        self._run_id = record.id.encode("ascii")
        self._payloads = run.payloads
        self._channels, self._criticalities = record.channels, record.criticalities
        self._is_fresh = record.scenario.payload.fresh
        self._word_seed = int(record.id, 16)  # another run brings other words: a cache may know those of the last
        self._payload = _column(planned["payload"], "i")
        self._channel, self._criticality = _column(planned["channel"], "B"), _column(planned["criticality"], "B")
        self._budget_ns = _column(planned["budget_ns"], "q")
        self.intended_ns = _column(planned["intended_ns"], "q")
        self._rendered: dict[tuple[int, int, int], tuple[bytes, bytes | None]] = {}
        self._head = _head(record.scenario.target.url, record.scenario.target.path, record.scenario.target.headers)
        self._budget_header = b"%b: " % record.scenario.budget.header.encode("ascii")

    def http(self, row: int) -> bytes:
        """The whole request."""
        body = self.body(row)
        return b"%b%b%b\r\nContent-Length: %d\r\n\r\n%b" % (
            self._head,
            self._budget_header,
            self.budget_text(row),
            len(body),
            body,
        )

    def body(self, row: int) -> bytes:
        """The JSON object; its id is the run's and the row's."""
        key = (self._payload[row], self._channel[row], self._criticality[row])
        parts = self._rendered.get(key)
        if parts is None:
            parts = self._rendered[key] = self._render(*key)
        before, after = parts
        if after is not None:
            return b'{"id":"%b-%09d",%bref%08x%b}' % (self._run_id, row, before, self._word(row), after)
        return b'{"id":"%b-%09d",%b}' % (self._run_id, row, before)

    def fields(self, row: int) -> dict[str, Any]:
        """The same object, not encoded."""
        fields: dict[str, Any] = msgspec.json.decode(self.body(row))
        return fields

    def budget_ns(self, row: int) -> int:
        return self._budget_ns[row]

    def budget_text(self, row: int) -> bytes:
        """Milliseconds, for the header."""
        return b"%g" % (self._budget_ns[row] / MS)

    def _render(self, payload: int, channel: int, criticality: int) -> tuple[bytes, bytes | None]:
        """What stands before and behind the fresh word; None: there is none."""
        fields: dict[str, Any] = {"channel": self._channels[channel]} if self._channels else {}
        if criticality != NOT_SAID:
            fields["criticality"] = self._criticalities[criticality]
        fields |= {name: value for name, value in self._payloads[payload].body.items() if name != "id"}
        if not self._is_fresh or not isinstance(fields.get("text"), str):
            return msgspec.json.encode(fields)[1:-1], None
        fields["text"] = f"{fields['text'].replace(_FRESH, '')} {_FRESH}"
        before, _, after = msgspec.json.encode(fields)[1:-1].partition(_FRESH_JSON)
        return before, after

    def _word(self, row: int) -> int:
        return ((row + 1) * _HASH + self._word_seed) & 0xFFFF_FFFF


def _column(values: np.ndarray, code: str) -> array[int]:
    """A field as an array of Python's: reading one of numpy's numbers costs five times as much."""
    column = array(code)
    column.frombytes(np.ascontiguousarray(values).tobytes())
    return column


def _head(url: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in _ALREADY]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")
