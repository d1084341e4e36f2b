"""Trainings that take a tenth of their time, for tests of everything but quality."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from models import small
from models.table import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def hurried() -> Iterator[None]:
    """Train the rung `small` with one member and few steps, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small, "Settings", partial(Settings, members=1, min_steps=100))
        yield
