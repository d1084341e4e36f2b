"""Agents' tokens: signed, for one resource, until a time. Nothing is stored; another secret ends them all.

`agent.{id}.{expiry}.{signature}`: the id and the signature as base64url, the expiry in seconds since 1970, the
signature HMAC-SHA256 (RFC 2104) of the two before it.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import sha256

_KIND = "agent"
_PURPOSE = b"takt agent token 1\n"  # so that no other use of the secret makes a valid signature
_MAX_CHARS = 512
_MOST_SECRET = 256


def check_secret(key: str, value: str, least: int) -> None:
    """Also keeps line ends out of headers. Raises: ValueError: what is wanted; the secret is not repeated."""
    if not least <= len(value) <= _MOST_SECRET or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(
            f"{key}: must be {least} to {_MOST_SECRET} printable ASCII characters without a blank; "
            "make one with `openssl rand -hex 32`"
        )


class AgentTokens:
    """Issues and reads them. Without a secret there are none."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    @property
    def is_on(self) -> bool:
        return bool(self._secret)

    def issue(self, resource_id: str, expires_s: int) -> str:
        """Whoever bears it is this resource until then."""
        signed = f"{_KIND}.{encode_base64(resource_id.encode())}.{expires_s}"
        return f"{signed}.{self._sign(signed)}"

    def resource_of(self, token: str, now_s: float) -> str | None:
        """Whose it is; None: nobody's, or no more."""
        if not self._secret or len(token) > _MAX_CHARS or not token.isascii():
            return None
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature, self._sign(signed)):
            return None
        kind, resource_id, expires_s = signed.split(".")  # as it was issued
        if kind != _KIND or int(expires_s) <= now_s:
            return None
        return decode_base64(resource_id).decode()

    def _sign(self, signed: str) -> str:
        return encode_base64(hmac.digest(self._secret, _PURPOSE + signed.encode(), sha256))


def encode_base64(data: bytes) -> str:
    """Base64url without padding (RFC 4648, 5; RFC 7515, 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_base64(text: str) -> bytes:
    """Raises: ValueError."""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except NotBase64 as error:
        raise ValueError(str(error)) from None
