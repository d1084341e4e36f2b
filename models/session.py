"""The door to onnxruntime: one graph, loaded; arrays in, arrays out."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import onnxruntime

from models import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_FATAL_ONLY = 4  # a failure reaches the caller as an error; the runtime's own lines on stderr repeat it
CPU = ("CPUExecutionProvider",)
_CPU_FACTS = Path("/proc/cpuinfo")


class Port(NamedTuple):
    """An input or output as the graph declares it: `tensor(float)`, and a shape with names where any length goes."""

    kind: str
    shape: tuple[int | str | None, ...]


class Session:
    """One graph, loaded. No IOBinding: with inputs that are new for every text it took 20 µs where `run` took 16.

    Safety: `run` may be called from several threads.
    """

    __slots__ = ("_outputs", "_session", "inputs", "metadata", "outputs")

    def __init__(self, path: Path, graph: bytes, providers: Sequence[str] = CPU, threads: int = 1) -> None:
        """Load the content of `path`, which has been verified.

        Args: providers: execution providers of onnxruntime, the preferred first.
        Raises: BadFile: no graph that can be run here.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        options.enable_mem_pattern = False  # shapes differ from text to text
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores are the server's
        options.add_session_config_entry("session.x64quantprecision", "0" if has_vnni() else "1")
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=list(providers))
            self.inputs = {each.name: Port(each.type, tuple(each.shape)) for each in self._session.get_inputs()}
            self.outputs = {each.name: Port(each.type, tuple(each.shape)) for each in self._session.get_outputs()}
            self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        except Exception as error:  # onnxruntime's errors have no common class but this
            raise errors.BadFile(path, f"not a graph that can be run ({error})") from error
        self._outputs = list(self.outputs)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs in their order. Raises: RunFailed: the runtime did."""
        try:
            result: list[NDArray[Any]] = self._session.run(self._outputs, feeds)
        except Exception as error:
            raise errors.RunFailed(f"inference failed: {error}") from error
        return result


@cache
def has_vnni() -> bool:
    """Whether the processor adds int8 products in 32 bits by itself.

    Others add pairs of them in 16 bits, which overflow: there the runtime must take a way that is right and slower.
    Where it need not, the scores are the same to the last bit, and `large` took 80 µs a word piece instead of 190.
    """
    try:
        facts = _CPU_FACTS.read_text(encoding="ascii", errors="replace")
    except OSError:  # not Linux: be right
        return False
    flags = next((line for line in facts.splitlines() if line.startswith("flags")), "").split()
    return "avx512_vnni" in flags or "avx_vnni" in flags


def missing_providers(providers: Sequence[str]) -> tuple[list[str], list[str]]:
    """Which of `providers` the installed onnxruntime lacks, and which it has."""
    available = onnxruntime.get_available_providers()
    return [name for name in providers if name not in available], available
