"""An agent's WebSocket, and the few requests around it. Besides engine/session.py the only importer of aiohttp here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import aiohttp
import msgspec

from loadtest.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

_WITHIN_S = 10.0
_OK = 300


class Door:
    """One server, as a supervisor sees it: may sign in anybody. An async context."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url, self._headers = url.rstrip("/"), dict(headers)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=_WITHIN_S),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, body: Any = None) -> Any:  # noqa: ANN401 - JSON
        """The body of the answer. Raises: Unreachable: nobody answers, or no."""
        content = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.request(method, self._url + path, data=content, headers=headers) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{method} {path}: {error or 'no answer in time'}") from error
        if response.status >= _OK:
            raise Unreachable(
                f"{method} {path}: {response.status} {answer[:300].decode(errors='replace')}; agents need a server with"
                " a queues.toml, and the admin's token in --token where it has one"
            )
        return msgspec.json.decode(answer)

    async def stream(self, resource_id: str, session: str) -> Stream:
        """Raises: Unreachable."""
        path = f"/v1/agents/{resource_id}/stream" + (f"?session={session}" if session else "")
        try:
            return Stream(await self._session.ws_connect(self._url + path, max_msg_size=0))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{path}: {error or 'no answer in time'}") from error


class Stream:
    """Messages in both directions, as dicts."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def messages(self) -> AsyncIterator[bytes]:
        """Until either side closes it."""
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                yield message.data.encode()

    async def send(self, kind: str, ref: str = "", **fields: Any) -> None:  # noqa: ANN401 - JSON
        """A request; one on a closed socket is lost, as it would be on the wire."""
        if not self._socket.closed:
            await self._socket.send_str(msgspec.json.encode({"type": kind, "ref": ref, **fields}).decode())

    async def close(self) -> None:
        await self._socket.close()
