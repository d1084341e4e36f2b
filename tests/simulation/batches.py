"""Rungs whose batches cost what a law of chance and a formula say, and what was predicted of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from budgets.batch_cost import BatchCost, Sample

MS = 1_000_000
LAWS: dict[str, Callable[[Random], float]] = {
    "lognormal": lambda rng: rng.lognormvariate(0, 0.25),
    "two modes": lambda rng: rng.choice((1, 1, 1, 5)) * rng.uniform(0.9, 1.1),
    "gamma": lambda rng: rng.gammavariate(4, 0.25),
    "narrow": lambda rng: rng.lognormvariate(0, 0.05),
}
# A fixed part, a part per text and one per character; nothing but characters; and what no straight line says.
SHAPES: dict[str, Callable[[int, int], float]] = {
    "mixed": lambda texts, longest: (2 + texts * (0.5 + 0.02 * longest)) * MS,
    "characters": lambda texts, longest: (0.1 + texts * 0.04 * longest) * MS,
    "squared": lambda texts, longest: (1 + texts * 0.02 * longest * (1 + longest / 100)) * MS,
}


class Batch:
    """What was said of a batch before it ran, and what it cost."""

    __slots__ = ("actual_ns", "told_ns")

    def __init__(self, told_ns: list[int], actual_ns: int) -> None:
        self.told_ns, self.actual_ns = told_ns, actual_ns


class Rung:
    """Batches of 1 to 8 texts of any length, one every 5 ms."""

    def __init__(self, seed: int, law: str, shape: str = "mixed") -> None:
        self.rng = Random(seed)
        self.law, self.shape = LAWS[law], SHAPES[shape]
        sizes = [(texts, longest) for texts in (1, 2, 4, 8) for longest in (10, 40, 100) for _ in range(4)]
        self.cost = BatchCost([Sample(*size, self.cost_ns(*size)) for size in sizes])
        self.now_ns = 0

    def size(self) -> tuple[int, int]:
        return self.rng.choice((1, 1, 1, 2, 3, 4, 8)), min(400, int(self.rng.lognormvariate(3.7, 0.6)))

    def cost_ns(self, texts: int, longest: int, slower: float = 1.0) -> int:
        return int(slower * self.shape(texts, longest) * self.law(self.rng))

    def run(self, batches: int, slower: float = 1.0) -> Iterator[Batch]:
        for _ in range(batches):
            self.now_ns += 5 * MS
            texts, longest = self.size()
            told_ns = [self.cost.quantile_ns(at, texts, longest, self.now_ns) for at in range(4)]
            actual_ns = self.cost_ns(texts, longest, slower)
            self.cost.observe(texts, longest, actual_ns, self.now_ns)
            yield Batch(told_ns, actual_ns)

    def skip(self, batches: int, slower: float = 1.0) -> None:
        for _ in self.run(batches, slower):
            pass


def coverage(batches: list[Batch], at: int) -> float:
    return sum(batch.actual_ns <= batch.told_ns[at] for batch in batches) / len(batches)
