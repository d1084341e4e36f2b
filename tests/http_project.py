"""A small project for servers in tests: four routes, guards, rules, and models trained on it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from models.train import train
from router.config import load_config
from tests.hurry import hurried

if TYPE_CHECKING:
    from pathlib import Path

    from models.encoder.find import Encoder
    from router.config import Config

_SUBJECTS = {
    "card_lost": ("lost my card", "card was stolen", "can't find the debit card", "Karte verloren"),
    "transfer": ("send money abroad", "make a transfer", "wire cash to a friend", "Geld überweisen"),
    "top_up": ("top up the account", "add funds", "charge my balance", "Guthaben aufladen"),
    "oos": ("how tall is the tower", "sing a song", "what is for dinner", "Witz erzählen"),
}
_FRAMES = ("i want to {}", "please help, {}", "{}?", "hi, {} today", "{} now!", "could you tell me about: {}")

# What the models of this project are sure of.
SURE_TEXT, SURE_ROUTE = "please help, make a transfer", "transfer"
ROUTES = """\
default = "help_desk"
unsure = "human_agent"

[routes.card_lost]
target = { kind = "queue", name = "cards" }
[routes.transfer]
target = { kind = "workflow", name = "transfers" }
[routes.top_up]
target = { kind = "bot", name = "top_up" }
[routes.help_desk]
target = { kind = "queue", name = "desk" }
[routes.human_agent]
target = { kind = "queue", name = "humans" }
"""
RULES = """\
[[guards]]
name = "wants_human"
keywords = ["real person", "mitarbeiter*"]
route = "human_agent"

[[guards]]
name = "vip"
when = 'has(context.vip) && context.vip == true'
route = "human_agent"

[[rules]]
name = "lost_card"
keywords = ["lost my card"]
route = "card_lost"
confidence = 0.6
"""
# Long, so that a slow machine changes no answer; what a budget does has tests of its own.
SETTINGS = """\
[server]
port = 0
[budget]
default_ms = 2000
max_ms = 5000
[log]
path = "var/takt.sqlite"
"""


def train_models(out_dir: Path, encoder: Encoder | None = None) -> None:
    """Models of the project, in a moment; with an encoder the rung `large` too."""
    rows = [
        (frame.format(subject), route)
        for route, subjects in _SUBJECTS.items()
        for subject in subjects
        for frame in _FRAMES
    ]
    with hurried():
        train(rows, out_dir, seed=1, encoder=encoder)


def write_project(folder: Path, models_dir: Path | None, environment: dict[str, str] | None = None) -> Config:
    """A folder of its own, so that servers share nothing but the (copied) models."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "takt.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "routes.toml").write_text(ROUTES, encoding="utf-8")
    (folder / "rules.toml").write_text(RULES, encoding="utf-8")
    if models_dir is not None:
        shutil.copytree(models_dir, folder / "models", copy_function=os.link)
    return load_config(folder / "takt.toml", environment or {})
