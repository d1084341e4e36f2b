"""Adam (Kingma & Ba 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Adam:
    """A weight and its moments."""

    __slots__ = ("_first", "_second", "_steps", "value")

    def __init__(self, value: NDArray[np.float32]) -> None:
        self.value = value
        self._first = np.zeros_like(value)
        self._second = np.zeros_like(value)
        self._steps = 0

    def step(self, grad: NDArray[np.float32], rate: float) -> None:
        """Move against `grad`."""
        self._steps += 1
        self._first += np.float32(0.1) * (grad - self._first)
        self._second += np.float32(0.001) * (grad * grad - self._second)
        scale = np.float32(rate / (1 - 0.9**self._steps))
        root = np.sqrt(self._second / np.float32(1 - 0.999**self._steps))
        self.value -= scale * self._first / (root + np.float32(1e-8))
