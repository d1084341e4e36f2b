"""What `[webhooks.NAME]` takes and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from router.policy.errors import PolicyError
from router.policy.project import fit
from router.webhooks.settings import WebhookSettings
from tests.hooks import SECRET


def read(**keys: Any) -> WebhookSettings:
    return fit({"url": "https://crm.example/hook", "secrets": [SECRET], **keys}, WebhookSettings, "takt.toml")


def test_secrets_do_not_show() -> None:
    assert SECRET not in repr(read())
    assert "crm.example" not in repr(read())


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example/hook?x=1",
        "http://127.0.0.1:9000/",
        "http://localhost/hook",
        "http://[::1]:9000/hook",
        "https://[2001:db8::1]/hook",
    ],
)
def test_urls_that_are_allowed(url: str) -> None:
    assert read(url=url).url == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://crm.example/hook", "http is for this machine only"),
        ("http://169.254.169.254/latest", "http is for this machine only"),
        ("http://localhost.example/", "http is for this machine only"),
        ("ftp://crm.example/", "must begin with https"),
        ("//crm.example/", "must begin with https"),
        ("https:///hook", "name a host"),
        ("https://me:secret@crm.example/", "no user, password"),
        ("https://crm.example/#part", "fragment"),
        ("https://crm.example:99999/", "url: "),
        ("https://[::1/", "url: "),
        ("", "must begin with https"),
    ],
)
def test_urls_that_are_not(url: str, why: str) -> None:
    with pytest.raises(PolicyError, match="takt") as caught:
        read(url=url)
    assert why in str(caught.value)


@pytest.mark.parametrize("types", [["task"], ["task.*.x"], ["*.task"], [""], ["Task.*"], [], ["tasks.*"]])
def test_types_that_no_event_has(types: list[str]) -> None:
    with pytest.raises(PolicyError, match="takt"):
        read(types=types)


def test_a_misspelt_type_is_told_with_what_was_meant() -> None:
    with pytest.raises(PolicyError, match=r"'task.sla_breech' is no type of event; did you mean 'task.sla_breached'\?"):
        read(types=["*", "task.sla_breech"])


@pytest.mark.parametrize(
    ("key", "value"), [("secrets", []), ("secrets", [SECRET] * 5), ("source", "a b"), ("max_inflight", 0), ("hook", 1)]
)
def test_other_keys_are_checked(key: str, value: Any) -> None:
    with pytest.raises(PolicyError, match=key):
        read(**{key: value})
