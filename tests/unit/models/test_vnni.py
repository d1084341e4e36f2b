"""The exact and slow way of onnxruntime's int8 kernels is taken where it is needed, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import session


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ("processor: 0\nflags\t\t: fpu avx512_vnni sse\n", True),
        ("flags\t\t: fpu avx_vnni\n", True),
        ("flags\t\t: fpu avx2 avx512f\n", False),
        ("Features\t: neon asimddp\n", False),
        ("", False),
    ],
)
def test_the_flags_of_the_processor_tell(
    facts: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(facts, encoding="ascii")
    monkeypatch.setattr(session, "_CPU_FACTS", path)
    session.has_vnni.cache_clear()
    assert session.has_vnni() == expected
    path.unlink()
    session.has_vnni.cache_clear()
    assert not session.has_vnni(), "where nothing is known the right way is taken"
    session.has_vnni.cache_clear()
