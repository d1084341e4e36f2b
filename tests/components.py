"""Parts that a test needs and few people install."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest


def needs(package: str, why: str) -> None:
    """Skip the module's tests where `package` is not installed; under `CI=true` that is a failure."""
    if find_spec(package) is not None:
        return
    if os.environ.get("CI") == "true":
        raise ModuleNotFoundError(f"no {package}: {why}")
    pytest.skip(f"no {package}: {why}", allow_module_level=True)
