"""What is sent: JSON objects with the label that would be right, where it is known."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from loadtest.errors import ScenarioError
from loadtest.scenario.shipped import UTTERANCES
from loadtest.scenario.spec import PayloadSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

_MOST_ROWS, _MOST_BYTES, _LARGEST_FILE_BYTES = 200_000, 64 * 1024, 256 * 1024 * 1024
_MOST_LABELS = 2_048
_LABEL = "route"  # PayloadSpec's default: a file without it has no labels, which is no error
_BUDGET = "budget_ms"


class Payload(NamedTuple):
    """One object to send; `body` has neither id nor budget. `label`: the right route, or None."""

    body: dict[str, Any]
    label: str | None = None


_DECODER = msgspec.json.Decoder(Payload)


def load_payloads(spec: PayloadSpec) -> tuple[Payload, ...]:
    """What a scenario sends, in the order of its file.

    Raises: ScenarioError: no such file or column, a line that is no payload, or too much of it; names file and line.
    """
    path = UTTERANCES if spec.from_ is None else Path(spec.from_)
    read = {".csv": _read_csv, ".jsonl": _read_jsonl}.get(path.suffix)
    if read is None:
        raise ScenarioError(f"payload.from: {path}: is neither a .csv nor a .jsonl file")
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise ScenarioError(f"{path}: is larger than {_LARGEST_FILE_BYTES // 2**20} MB; send a part of it")
        with path.open(encoding="utf-8-sig", newline="") as file:
            payloads = tuple(_bounded(path, read(path, file, spec)))
    except OSError as error:
        raise ScenarioError(f"payload.from: {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ScenarioError(f"{path}: is no {path.suffix} file in UTF-8: {error}") from error
    if not payloads:
        raise ScenarioError(f"{path}: has no row")
    labels = {payload.label for payload in payloads if payload.label is not None}
    if spec.label not in {None, _LABEL} and not labels:
        raise ScenarioError(f"{path}: no row has payload.label {spec.label!r}")
    if len(labels) > _MOST_LABELS:
        raise ScenarioError(
            f"{path}: payload.label {spec.label!r} has {len(labels):,} values, so it is no route; at most "
            f"{_MOST_LABELS:,} are allowed"
        )
    return payloads


def write_payloads(path: Path, payloads: Iterable[Payload]) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in payloads))


def read_payloads(path: Path) -> tuple[Payload, ...]:
    """Raises: OSError, msgspec.DecodeError."""
    return tuple(_DECODER.decode(line) for line in path.read_bytes().splitlines() if line)


def _read_csv(path: Path, file: TextIO, spec: PayloadSpec) -> Iterator[tuple[int, Payload]]:
    rows = csv.reader(file, strict=True)
    columns = next(rows, [])
    if spec.text_column not in columns:
        raise ScenarioError(
            f"{path}: has no column {spec.text_column!r} (payload.text_column); there are {', '.join(columns)[:500]}"
        )
    text_at = columns.index(spec.text_column)
    label_at = columns.index(spec.label) if spec.label in columns else None
    for row in rows:
        if not row:
            continue
        if len(row) != len(columns):
            raise ScenarioError(f"{path}, line {rows.line_num}: has {len(row)} cells, not {len(columns)}")
        if not row[text_at].strip():
            raise ScenarioError(f"{path}, line {rows.line_num}: {spec.text_column} is empty")
        label = None if label_at is None else row[label_at].strip() or None
        yield rows.line_num, Payload({"text": row[text_at]}, label)


def _read_jsonl(path: Path, file: TextIO, spec: PayloadSpec) -> Iterator[tuple[int, Payload]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            body = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise ScenarioError(f"{path}, line {number}: is no JSON object: {error}") from error
        if _BUDGET in body:
            raise ScenarioError(f"{path}, line {number}: {_BUDGET} is the scenario's to say: budget.deadline")
        label = body.pop(spec.label, None) if spec.label is not None else None
        if not isinstance(label, str | None):
            raise ScenarioError(f"{path}, line {number}: {spec.label} is no text")
        yield number, Payload(body, label or None)


def _bounded(path: Path, payloads: Iterable[tuple[int, Payload]]) -> Iterator[Payload]:
    for count, (line, payload) in enumerate(payloads):
        if count >= _MOST_ROWS:
            raise ScenarioError(f"{path}: has more than {_MOST_ROWS:,} rows; send a part of it")
        size = len(msgspec.json.encode(payload.body))
        if size > _MOST_BYTES:
            raise ScenarioError(f"{path}, line {line}: is {size:,} bytes long; at most {_MOST_BYTES:,} are sent")
        yield payload
