"""What an engine is: it sends requests when told to and writes down what came of them."""

from __future__ import annotations

from typing import Protocol


class Engine(Protocol):
    """One per worker. Never waits for the server before it takes the next request."""

    async def open(self) -> None:
        """Connect. Raises: Unreachable: nobody listens, with what to do."""
        ...

    def send(self, row: int) -> None:
        """Begin a request now, or as soon as a connection is free. Returns at once."""
        ...

    @property
    def pending(self) -> int:
        """Requests that were taken and have not ended."""
        ...

    async def close(self) -> None:
        """Hang up. What has not ended stays unfinished, or unsent."""
        ...
