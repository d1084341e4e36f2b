"""The rung `small`: an n-gram table, trained and asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models import quantize
from models.candidate import Candidate, HeldOut, Nodes
from models.features import Features
from models.spec import FeatureSpec
from models.split import report_part
from models.table import Rows, Settings, Table, count_ids, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.graph import Graph
    from models.task import Steps, Task

SMALL = "small"


class Trained(NamedTuple):
    """The table that learned from all, and what tables said of rows they had not seen."""

    table: Table
    held_out: HeldOut
    features: FeatureSpec

    def add(self, graph: Graph, int8: bool) -> Nodes:  # noqa: FBT001 - one of two forms of the same
        """Add the table to a graph."""
        return Nodes(quantize.add(graph, self.table, int8=int8), None)

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the int8 graph computes, apart from it. Shapes: -> float32[texts, labels]."""
        counts = count_ids(texts, Features(self.features), self.features.buckets)
        return quantize.rounded(self.table).logits(counts)

    def candidate(self, sample: Sequence[str]) -> Candidate:
        """The rung, to be finished."""
        return Candidate(SMALL, self.held_out, self.add, sample, self.logits(sample), features=self.features)


def train_small(task: Task, progress: Steps) -> Trained:
    """Train on the parts of the split and on all."""
    features, settings = FeatureSpec(), Settings()
    counts = count_ids(task.texts, Features(features), features.buckets)
    split, labels = task.split, len(task.labels)

    def learn(number: int, mask: NDArray[np.bool_]) -> Table:
        steps = report_part(progress, number, split.trainings)
        return fit(Rows(counts[mask], task.truth[mask]), labels, settings, np.random.default_rng(task.seed), steps)

    tables = [learn(number, part.learn) for number, part in enumerate(split.parts)]
    asked = [(table, counts[part.ask]) for table, part in zip(tables, split.parts, strict=True)]
    held_out = HeldOut(
        int8=np.concatenate([quantize.rounded(table).logits(rows) for table, rows in asked]),
        fp32=np.concatenate([table.logits(rows) for table, rows in asked]),
        truth=task.truth[split.asked],
    )
    table = tables[0] if split.is_checked_as_served else learn(len(tables), split.final)
    return Trained(table, held_out, features)
