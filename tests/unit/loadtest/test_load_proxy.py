"""The proxy's connections, without sockets."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import numpy as np

from loadtest.fault.link import NO_FAULT, ProxyFault
from loadtest.fault.proxy import Proxy


def test_a_fault_that_ends_while_a_connection_is_opened_ends_for_its_other_half_too() -> None:
    async def main() -> None:
        proxy = Proxy("127.0.0.1", 1, np.random.default_rng(1))
        proxy.set(ProxyFault(stall=True))
        server_side = proxy.accept().peer
        proxy.set(NO_FAULT)
        server_side.connection_made(Mock(asyncio.Transport))
        server_side.link.receive(b"answer", 0)
        assert server_side.link.next_ns() is not None

    asyncio.run(main())
