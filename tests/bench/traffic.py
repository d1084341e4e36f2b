"""Requests with texts that no model and no cache has seen: halves of real utterances and a made-up reference."""

from __future__ import annotations

import random
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from budgets.deadline import BudgetSettings
from models.data import read_csv
from models.features import normalise, words
from router.policy.point import build_point
from router.policy.project import read_project

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "bank"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PLACE = "qzqzqz"
_PREPARED = 3_000


@cache
def utterances() -> tuple[str, ...]:
    """Texts of the example bank, training and test."""
    files = ("utterances.en.csv", "utterances.de.csv", "test.csv")
    return tuple(example.text for name in files for example in read_csv(EXAMPLE / name))


def prepared_texts(seed: int) -> Iterator[str]:
    """Endless: the first half of one utterance, `_PLACE` for a word that nobody knows, the second half of another.

    Texts on which a guard of the example decides are left out: they cost no model.
    """
    rng = random.Random(seed)
    project = read_project(EXAMPLE / "routes.toml", EXAMPLE / "rules.toml")
    guards = build_point("bench", project, BudgetSettings()).guards
    pool = [text.split() for text in utterances()]
    while True:
        first, second = rng.choice(pool), rng.choice(pool)
        text = " ".join([*first[: (len(first) + 1) // 2], _PLACE, *second[len(second) // 2 :]])
        if guards.first(words(normalise(text)), dict[str, str]().get) is None:
            yield text


def unseen_requests(seed: int, budget_ms: float = 50.0, path: str = "/v1/interactions") -> Iterator[bytes]:
    """Endless HTTP requests, the contract's example with texts of which no two are alike.

    Cheap to draw from: a few thousand are made beforehand and get another made-up word each time.
    """
    prepared = []
    for number, text in enumerate(islice(prepared_texts(seed), _PREPARED)):
        fields = {
            "id": f"i-{number:016x}", "channel": "chat", "text": text, "customer_id": f"c-{number}",
            "session_id": f"s-{number}", "context": {"cart_value": 80, "vip": True}, "budget_ms": budget_ms,
            "criticality": "critical",
        }  # fmt: skip
        before, _, after = post(path, msgspec.json.encode(fields)).partition(_PLACE.encode())
        prepared.append((before, after))
    rng = random.Random(seed)
    while True:
        for before, after in prepared:
            yield b"%b%b%b" % (before, "".join(rng.choices(_LETTERS, k=len(_PLACE))).encode(), after)


def post(path: str, body: bytes, method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body
