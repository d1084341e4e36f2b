"""A small data set and the models trained on it once."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from models.encoder.find import Encoder, read_encoder
from models.train import train
from tests.encoders import write_encoder
from tests.hurry import hurried

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SUBJECTS = {
    "card_lost": ("lost my card", "card was stolen", "can't find the debit card", "Karte verloren"),
    "transfer": ("send money abroad", "make a transfer", "wire cash to a friend", "Geld überweisen"),
    "top_up": ("top up the account", "add funds", "charge my balance", "Guthaben aufladen"),
    "oos": ("how tall is the tower", "sing a song", "what is for dinner", "Witz erzählen"),
}
_FRAMES = ("i want to {}", "please help, {}", "{}?", "hi, {} today", "{} now!", "could you tell me about: {}")


@pytest.fixture(scope="session")
def examples() -> list[tuple[str, str]]:
    """96 rows, three routes and `oos`."""
    return [
        (frame.format(subject), route)
        for route, subjects in _SUBJECTS.items()
        for subject in subjects
        for frame in _FRAMES
    ]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, examples: list[tuple[str, str]]) -> Path:
    """A directory of models, to be read only."""
    out_dir = tmp_path_factory.mktemp("models")
    with hurried():
        train(examples, out_dir, seed=1)
    return out_dir


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A tiny one with random weights."""
    return read_encoder(write_encoder(tmp_path_factory.mktemp("encoder"), seed=3), None)


@pytest.fixture(scope="session")
def trained_large(tmp_path_factory: pytest.TempPathFactory, examples: list[tuple[str, str]], encoder: Encoder) -> Path:
    """A directory of models with both rungs, to be read only."""
    out_dir = tmp_path_factory.mktemp("both")
    with hurried():
        train(examples, out_dir, seed=1, encoder=encoder)
    return out_dir


@pytest.fixture
def quick() -> Iterator[None]:
    """Train a tenth as long: for tests of everything but quality."""
    with hurried():
        yield


@pytest.fixture
def models_dir(tmp_path: Path, trained: Path) -> Path:
    """A copy of `trained` that a test may damage."""
    copy = tmp_path / "models"
    shutil.copytree(trained, copy)
    return copy
