"""The server under test, where the scenario says how to start it."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from loadtest.errors import Unreachable
from loadtest.fault.exchange import exchange
from loadtest.wire import BadHttp

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_READY_S, _LOOK_EVERY_S, _STOP_S = 60.0, 0.05, 15.0
_LAST_WORDS_S = 1.0  # its children may hold its output open
_TAIL_BYTES, _TAIL_LINES = 8_192, 15
_OK = 200


class Subject:
    """A server as a process group of its own; an async context that lasts as long as it runs.

    Args:
        command: as for a shell, but none is asked.
        ready_url: answers 200 once the server may be asked.
        ready_s: how long that may take; models are loaded meanwhile.
    """

    def __init__(self, command: str, ready_url: str, ready_s: float = _READY_S) -> None:
        self._command, self._ready_url, self._ready_s = command, ready_url, ready_s
        self._said = b""

    @property
    def pid(self) -> int:
        """Of the process, which leads its group."""
        return self._process.pid

    @property
    def tail(self) -> str:
        """The last lines that it wrote."""
        return "\n".join(self._said.decode(errors="replace").splitlines()[-_TAIL_LINES:])

    async def __aenter__(self) -> Self:
        """Raises: Unreachable: it could not be started, died, or was not ready in time; with its last lines."""
        if await self._status() is not None:
            raise Unreachable(f"{self._ready_url}: something answers there already; stop it, or leave out target.start")
        try:
            arguments = shlex.split(self._command)
            self._process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except (ValueError, TypeError, OSError) as error:
            raise Unreachable(f"target.start: {self._command!r} cannot be run: {error}") from error
        self._listening = asyncio.create_task(self._listen())
        try:
            await self._wait_until_ready()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(self._ready_s):
                while await self._status() != _OK:
                    if self._process.returncode is not None:
                        await asyncio.wait({self._listening}, timeout=_LAST_WORDS_S)
                        raise Unreachable(f"target.start: {self._command!r} ended{self._last_words()}")
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            raise Unreachable(
                f"target.start: {self._ready_url} did not answer 200 within {self._ready_s:g} s{self._last_words()}"
            ) from None

    def _last_words(self) -> str:
        return f"; its last lines:\n{self.tail}" if self.tail else "; it wrote nothing"

    async def _status(self) -> int | None:
        """None: no HTTP server listens there."""
        try:
            return (await exchange("GET", self._ready_url)).status
        except (OSError, BadHttp):
            return None

    async def _listen(self) -> None:
        """Read what it writes, so that it never waits for us; keep the end."""
        if self._process.stdout is None:
            return
        while said := await self._process.stdout.read(_TAIL_BYTES):
            self._said = (self._said + said)[-_TAIL_BYTES:]

    async def _stop(self) -> None:
        """SIGTERM, then SIGKILL, to the whole group; a frozen one is thawed first."""
        for what in (signal.SIGCONT, signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, what)
            if what is signal.SIGTERM:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_STOP_S):
                        await self._process.wait()
        await self._process.wait()
        self._listening.cancel()
