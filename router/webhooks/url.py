"""Where Takt sends requests to: only where the configuration says, and not in the clear."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def check_url(url: str, key: str = "url") -> None:
    """Raises: ValueError: neither https nor http to this machine, or with a password in it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError(f"{key}: must begin with https:// and name a host")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError(f"{key}: http is for this machine only (localhost, 127.0.0.1, ::1); use https")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError(f"{key}: must have no user, password or fragment")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
