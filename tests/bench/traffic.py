"""Requests with texts that no model and no cache has seen: halves of real utterances and a made-up reference."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from models.data import read_csv
from models.features import normalise, words
from router.policy.point import build_point
from router.policy.project import read_project
from budgets.deadline import BudgetSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "bank"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@cache
def utterances() -> tuple[str, ...]:
    """Texts of the example bank, training and test."""
    files = ("utterances.en.csv", "utterances.de.csv", "test.csv")
    return tuple(example.text for name in files for example in read_csv(EXAMPLE / name))


def unseen_texts(seed: int) -> Iterator[str]:
    """Endless, no two alike: the first half of one utterance, a word of six random letters, half of another.

    Texts on which a guard of the example decides are left out: they cost no model.
    """
    rng = random.Random(seed)
    project = read_project(EXAMPLE / "routes.toml", EXAMPLE / "rules.toml")
    guards = build_point("bench", project, BudgetSettings()).guards
    pool = [text.split() for text in utterances()]
    while True:
        first, second = rng.choice(pool), rng.choice(pool)
        made_up = "".join(rng.choices(_LETTERS, k=6))
        text = " ".join([*first[: (len(first) + 1) // 2], made_up, *second[len(second) // 2 :]])
        if guards.first(words(normalise(text)), dict[str, str]().get) is None:
            yield text


def unseen_requests(seed: int, budget_ms: float = 50.0, path: str = "/v1/interactions") -> Iterator[bytes]:
    """Whole HTTP requests, as a chat frontend would send them."""
    rng = random.Random(seed)
    for text in unseen_texts(seed):
        body = msgspec.json.encode(
            {
                "id": f"i-{rng.getrandbits(64):016x}",
                "channel": "chat",
                "text": text,
                "customer_id": f"c-{rng.randrange(100_000)}",
                "session_id": f"s-{rng.randrange(100_000)}",
                "context": {"cart_value": 80, "vip": False, "language": "en", "page": "/help/cards"},
                "budget_ms": budget_ms,
                "criticality": "critical",
            }
        )
        yield post(path, body)


def post(path: str, body: bytes, method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body
