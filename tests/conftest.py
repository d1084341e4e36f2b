"""What holds for every test."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from models.encoder import find

if TYPE_CHECKING:
    from collections.abc import Iterator


# `make nightly` says TAKT_SEEDS, and has the time for more than `make test`.
settings.register_profile("quick", max_examples=40)
settings.register_profile("thorough", max_examples=1_000, deadline=None)
settings.load_profile("thorough" if "TAKT_SEEDS" in os.environ else "quick")


def pytest_collection_finish() -> None:
    """What is loaded by now stays. Looking through all of it for garbage, time and again, took a tenth of the tests.

    And looking more rarely through what comes: another 8 %.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.fixture(scope="session", autouse=True)
def no_installed_encoder() -> Iterator[None]:
    """Trainings of tests make the same rungs, and take seconds, whether or not the encoder's package is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(find, "PACKAGE", "no_such_package")
        yield
