"""Signatures of Standard Webhooks 1.0.0, the symmetric scheme (https://www.standardwebhooks.com)."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "whsec_"
# The specification's bounds of a key.
_LEAST_BYTES, _MOST_BYTES = 24, 64


def key_of(secret: str) -> bytes:
    """The key in a secret as it is handed out. Raises: ValueError: it is none; the secret is not repeated."""
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(f"secrets: each must be {PREFIX} and {_LEAST_BYTES} to {_MOST_BYTES} bytes as base64")
    return key


def sign(keys: Iterable[bytes], message_id: str, timestamp_s: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each key, so that receivers may know either.

    Args: message_id: without a full stop, which separates what is signed.
    """
    content = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join(f"v1,{b64encode(hmac.digest(key, content, 'sha256')).decode()}" for key in keys)
