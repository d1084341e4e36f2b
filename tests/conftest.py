"""What holds for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.encoder import find

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def no_installed_encoder() -> Iterator[None]:
    """Trainings of tests make the same rungs, and take seconds, whether or not the encoder's package is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(find, "PACKAGE", "no_such_package")
        yield
