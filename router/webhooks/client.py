"""The door to aiohttp's client: POSTs of events, to nowhere but the URL that they were given."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from router import __version__
from router.webhooks.delivery import Outcome, retry_after_ns

if TYPE_CHECKING:
    from budgets.clock import Clock
    from router.webhooks.message import Call

# Of an answer: nobody reads it, but a connection whose answer was read can be used again.
_MOST_BYTES = 65_536
_MOST_CONNECTIONS = 256


class Client:
    """Connections to all receivers. `start` on the loop that owns it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_MOST_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"takt/{__version__}"},
            auto_decompress=False,  # a small answer must not become a large one
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, call: Call, timeout_s: float) -> Outcome:
        """One attempt; raises only when cancelled. A redirect is not followed: it is an answer like others."""
        assert self._session is not None  # noqa: S101 - started before
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._session.post(
                    call.url, data=call.body, headers=call.headers, allow_redirects=False
                )
                async with response:
                    await _read_some(response)
        except TimeoutError:
            return Outcome(error=f"no answer within {timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(error=f"{type(error).__name__}: {error}"[:500])
        retry_ns = retry_after_ns(response.headers.get("Retry-After"), self._clock.wall_ns())
        is_good = 200 <= response.status < 300  # noqa: PLR2004
        return Outcome(response.status, "" if is_good else f"answered {response.status}", retry_ns)


async def _read_some(response: aiohttp.ClientResponse) -> None:
    left = _MOST_BYTES
    while left > 0 and (chunk := await response.content.readany()):
        left -= len(chunk)
    if left <= 0:
        response.close()
