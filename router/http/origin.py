"""Where a request comes from: from this machine for itself, or on behalf of somebody else."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aiohttp import web

_PROXIES = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
_PORTS = {"http": 80, "https": 443}


def is_here(request: web.BaseRequest) -> bool:
    """Whether it comes from this machine, for itself: not for a proxy's client, nor for a page of another origin.

    A page may have any name of its own resolved to this machine; so the name that was asked for counts, too.
    """
    headers = request.headers
    if not is_loopback(request.remote) or any(header in headers for header in _PROXIES):
        return False
    place = _place(f"http://{headers.get('Host', '')}")
    if place is None or not (place[0] == "localhost" or is_loopback(place[0])):
        return False
    origin = headers.get("Origin")
    return origin is None or is_own_origin(request, origin)


def is_own_origin(request: web.BaseRequest, origin: str) -> bool:
    """Whether a page is one of this server's."""
    place = _place(origin)
    scheme = origin.partition(":")[0]
    return place is not None and place == _place(f"{scheme}://{request.headers.get('Host', '')}")


def _place(origin: str) -> tuple[str, int] | None:
    """Host and port; None: it is no address of a web page."""
    try:
        parts = urlsplit(origin)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.hostname, port) if parts.hostname else None


def is_loopback(host: str | None) -> bool:
    """Whether it is an address of this machine for itself."""
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
