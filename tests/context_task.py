"""Texts whose route is told by what is known beside them: the same words go elsewhere by cart value or channel."""

from __future__ import annotations

import random

from models.columns import Column
from models.data import Example

COLUMNS = (Column(name="channel"), Column(name="context.cart_value", kind="number"))
DEAR = 60.0  # a cart's value from which a refund needs a senior
_CHANNELS = ("chat", "mail", "phone")
_SUBJECTS = {
    "refund": ("i want a refund", "give me my money back", "refund my order", "Geld zurück", "reimburse me please"),
    "delivery": ("where is my parcel", "track my order", "has it shipped", "wo ist mein Paket", "delivery status"),
    "login": ("can't log in", "forgot my password", "reset my account", "Passwort vergessen", "locked out"),
}
_FRAMES = ("{}", "hi, {}", "please: {}", "{} now!", "{} today?", "could you help, {}", "hello {} thanks", "{} asap")


def route_of(subject: str, channel: str, cart_value: float) -> str:
    """Where a text belongs."""
    if subject == "refund":
        return "refund_senior" if cart_value > DEAR else "refund_bot"
    return "delivery_desk" if (subject, channel) == ("delivery", "phone") else subject


def examples(count: int, seed: int) -> list[Example]:
    """Rows of the task. No rule on the text alone is right about the dear and the cheap refunds."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        subject, channel = rng.choice(sorted(_SUBJECTS)), rng.choice(_CHANNELS)
        cart_value = round(rng.lognormvariate(4, 1.2), 2)
        text = rng.choice(_FRAMES).format(rng.choice(_SUBJECTS[subject]))
        rows.append(Example(text, route_of(subject, channel, cart_value), (channel, cart_value)))
    return rows
