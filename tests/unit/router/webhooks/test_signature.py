"""Signatures are those that receivers of Standard Webhooks verify."""

from __future__ import annotations

from base64 import b64encode

import pytest

from router.webhooks.signature import key_of, sign
from tests.hooks import OTHER_SECRET, SECRET, verify


def test_the_vector_that_the_reference_libraries_share() -> None:
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    header = sign([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert header == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
def test_either_secret_verifies_while_both_sign(secret: str) -> None:
    header = sign([key_of(SECRET), key_of(OTHER_SECRET)], "7-0-a", 1_000, b"{}")
    headers = {"webhook-id": "7-0-a", "webhook-timestamp": "1000", "webhook-signature": header}
    assert header.count(" ") == 1
    assert verify(headers, b"{}", secret, 1_000)
    assert not verify(headers, b"{ }", secret, 1_000)
    assert not verify({**headers, "webhook-id": "7-0-b"}, b"{}", secret, 1_000)
    assert not verify({**headers, "webhook-timestamp": "1001"}, b"{}", secret, 1_000)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        b64encode(bytes(32)).decode(),
        "whsec_" + b64encode(bytes(23)).decode(),
        "whsec_" + b64encode(bytes(65)).decode(),
        "whsec_" + "*" * 32,
        "whsec_" + b64encode(bytes(32)).decode()[:-1],
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="secrets: each must be whsec_") as caught:
        key_of(secret)
    assert len(secret) < 10 or secret not in str(caught.value)


def test_keys_at_the_bounds_of_the_specification() -> None:
    for size in (24, 64):
        assert key_of("whsec_" + b64encode(bytes(size)).decode()) == bytes(size)
