"""One thread beside the event loop, for work of seconds that must not end with the process in the middle of it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from models import errors
from models.executor import yield_cores

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Background:
    """Runs one piece of work at a time in a thread of its own. The event loop owns it."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Begin. The future is no way to stop the work: who gives it up tells the work in another way."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(value: T | None, error: Exception | None) -> None:
            if future.done():  # nobody waits any more
                return
            if error is None:
                future.set_result(value)  # type: ignore[arg-type] # there is a value where there is no error
            else:
                future.set_exception(error)

        def run() -> None:
            yield_cores()
            value, failed = None, None
            try:
                value = work()
            except Exception as error:  # noqa: BLE001 - it is the waiter's
                failed = error
            except BaseException as error:  # noqa: BLE001 - a library in Rust panics; the event loop must not
                failed = errors.RunFailed(f"{type(error).__name__}: {error}")
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle, value, failed)

        # A daemon: work that hangs must not keep the process.
        self._thread = threading.Thread(target=run, name="takt-activation", daemon=True)
        self._thread.start()
        return future

    async def join(self, timeout_s: float = 5.0) -> None:
        """Wait until the thread is out of onnxruntime: the end of the interpreter would abort the process there."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, timeout_s)
