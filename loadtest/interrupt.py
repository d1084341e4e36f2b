"""SIGINT and SIGTERM during a run: what was measured is kept, and nothing that was started is left behind."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """A context. A signal cancels the task that entered it, or calls what `calling` says, once."""

    def __init__(self) -> None:
        self.heard = False
        self._call: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            self._loop.remove_signal_handler(number)
            if before is not None:  # else it is not Python's
                signal.signal(number, before)  # a loop knows the default alone, and whoever runs it has its own

    @contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """While this lasts, the first signal calls `call`, and the second is as ever."""
        self._call = call
        try:
            yield
        finally:
            self._call = None

    def _hear(self) -> None:
        self.heard = True
        call, self._call = self._call, None
        if call is not None:
            call()
        elif self._task is not None:
            self._task.cancel()
