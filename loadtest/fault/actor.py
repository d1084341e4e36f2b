"""Who breaks things: the server itself when it is told to, a signal, or a proxy before the server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import msgspec

from loadtest.errors import Unreachable
from loadtest.fault.exchange import exchange
from loadtest.wire import BadHttp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

_PATH = "/v1/admin/faults"
_PATIENCE_S = 5.0
_OK, _UNAUTHORISED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404


class FaultFailed(Exception):
    """A fault could not be begun or ended; the message is for the report."""


class Actor(Protocol):
    """Breaks one kind of things."""

    async def apply(self, state: dict[str, Any] | None) -> None:
        """Let exactly this be broken; None: nothing. Bounded in time. Raises: FaultFailed."""
        ...


class ServerFaults:
    """Asks Takt's server to break itself. Args: url: of the server. headers: with its admin's token, if it has one."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url.rstrip("/") + _PATH
        self._headers = {**headers, "Content-Type": "application/json"}

    async def apply(self, state: dict[str, Any] | None) -> None:
        body = msgspec.json.encode(state or {})
        try:
            answer = await exchange("PUT", self._url, body, self._headers, _PATIENCE_S)
        except (OSError, BadHttp) as error:
            raise FaultFailed(f"PUT {_PATH}: {error or 'no answer in time'}") from error
        if answer.status == _NOT_FOUND:
            raise FaultFailed(f"PUT {_PATH}: 404; start the server with --allow-faults")
        if answer.status in (_UNAUTHORISED, _FORBIDDEN):
            raise FaultFailed(f"PUT {_PATH}: {answer.status}; give the admin's token in target.headers or with --token")
        if answer.status != _OK:
            raise FaultFailed(f"PUT {_PATH}: {answer.status} {answer.body[:500].decode(errors='replace')}")


class Freeze:
    """Stops a process with SIGSTOP, and lets it go on. Args: is_group: its whole process group, which `pid` leads."""

    def __init__(self, pid: int, *, is_group: bool = False) -> None:
        self._pid = pid
        self._send = os.killpg if is_group else os.kill

    async def apply(self, state: dict[str, Any] | None) -> None:
        what = signal.SIGCONT if state is None else signal.SIGSTOP
        try:
            self._send(self._pid, what)
        except OSError as error:
            raise FaultFailed(f"{what.name} to process {self._pid}: {error.strerror}") from error


class ProxyFaults:
    """A fault proxy before a server, as a process. Use as an async context; send the load to `url`."""

    def __init__(self, server_url: str, seed: int = 1) -> None:
        self._server = urlsplit(server_url)
        self._seed = seed
        self.url = ""

    async def __aenter__(self) -> Self:
        """Raises: Unreachable: the proxy did not start."""
        if self._server.scheme != "http" or self._server.hostname is None:
            raise Unreachable(f"{self._server.geturl()}: the fault proxy speaks to http:// servers")
        server = (self._server.hostname, str(self._server.port or 80))
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadtest.fault.proxy", *server, str(self._seed)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us; it ends when we close its stdin
        )
        port = await self._line()
        if not port.isdigit():
            await self.__aexit__(None, None, None)
            raise Unreachable("the fault proxy did not start")
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def apply(self, state: dict[str, Any] | None) -> None:
        if self._process.stdin is None or self._process.returncode is not None:
            raise FaultFailed("the fault proxy has ended")
        self._process.stdin.write(msgspec.json.encode(state or {}) + b"\n")
        said = await self._line()
        if said != "ok":
            raise FaultFailed(f"the fault proxy: {said or 'no answer'}")

    async def _line(self) -> str:
        if self._process.stdout is None:
            return ""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return (await self._process.stdout.readline()).decode().strip()
        except TimeoutError:
            return ""
