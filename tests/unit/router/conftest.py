"""What holds for the tests of router/."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hurry import hurried

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def _hurry() -> Iterator[None]:
    """Commands train in this process; what they learn is tested where it is learned."""
    with hurried():
        yield
