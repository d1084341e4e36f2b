"""When each request came and when it was answered, as the server itself saw it."""

from __future__ import annotations

import io
import re
from array import array
from typing import Final

import numpy as np

from loadtest.errors import LoadtestError

# Times by CLOCK_MONOTONIC, which all processes of a machine share.
TRUTH = np.dtype([("row", "<i8"), ("received_ns", "<i8"), ("answered_ns", "<i8")])
NO_ROW: Final = -1
_MOST_ROWS: Final = 2_000_000
# The generator's ids begin the body, and end with the row: {"id":"0badcafe-000000042", …
_ID = re.compile(rb'\{"id":"[^"]{0,64}-([0-9]{9,10})"')


def row_of(body: bytes) -> int:
    """Which of the run's requests this is; NO_ROW: it does not say."""
    found = _ID.match(body)
    return int(found[1]) if found else NO_ROW


class Truth:
    """The books, bounded: beyond that, only the number of requests goes on."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self.total = 0

    def note(self, row: int, received_ns: int, answered_ns: int) -> None:
        self.total += 1
        if self.total <= _MOST_ROWS:
            self._numbers.extend((row, received_ns, answered_ns))

    def dump(self) -> bytes:
        """As a .npy file: TRUTH[n], in the order of the answers."""
        file = io.BytesIO()
        np.save(file, np.frombuffer(self._numbers.tobytes(), TRUTH))
        return file.getvalue()


def read_truth(data: bytes) -> np.ndarray:
    """What `dump` wrote. Raises: LoadtestError: it is something else."""
    try:
        rows: np.ndarray = np.load(io.BytesIO(data))
    except (ValueError, EOFError) as error:
        raise LoadtestError(f"/truth: is not what an echo server keeps: {error}") from error
    if rows.dtype != TRUTH:
        raise LoadtestError(f"/truth: holds {rows.dtype}, not {TRUTH}")
    return rows
