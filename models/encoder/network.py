"""What an encoder must offer to be trained on and served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from models.encoder.linear import Linear
    from models.graph import Graph


class Network(Protocol):
    """A pretrained network that can be written into a graph."""

    @property
    def width(self) -> int:
        """Values of a vector."""
        ...

    @property
    def last(self) -> int:
        """How many values at a vector's end tell best which texts are alike."""
        ...

    def add(self, graph: Graph, linear: Linear, max_pieces: int, *, int8: bool) -> str:
        """Add the nodes that make one vector of each text's pieces. Returns: float32[texts, width]."""
        ...
