"""The door to prometheus_client: our metrics as Prometheus or OpenMetrics text."""

from __future__ import annotations

import logging
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from router.telemetry.family import CounterFamily, HistogramFamily, ReadingFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from budgets.histogram import Histogram
    from router.telemetry.registry import Metrics

_LOG = logging.getLogger(__name__)


class Exposition(Collector):
    """Renders `Metrics`. It has a registry of its own: nothing is process-global."""

    def __init__(self, metrics: Metrics) -> None:
        self._families = metrics.families()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._unreadable_total = 0

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page for `/metrics` and its content type; OpenMetrics when `Accept` asks for it.

        Cost: 2-4 ms for 300 lines, in which the loop does nothing else.
        Safety: on the event loop, because that is where the readings belong.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def describe(self) -> list[Metric]:
        """Nothing: registering must not read what is not there yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric with its samples; called by prometheus_client."""
        for family in self._families:
            if isinstance(family, CounterFamily):
                yield _counts(family)
            elif isinstance(family, HistogramFamily):
                yield _histograms(family)
            else:
                yield self._readings(family)
        folded = CounterMetricFamily("takt_metric_folded_total", "Label sets counted as `other`.", labels=["metric"])
        for family in self._families:
            if family.folded_total:
                folded.add_metric([family.name], family.folded_total)
        yield folded
        yield CounterMetricFamily(
            "takt_metric_unreadable_total",
            "Readings left out because they failed.",
            value=self._unreadable_total,
        )

    def _readings(self, family: ReadingFamily) -> Metric:
        kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = kind(family.name, family.text, labels=_label_names(family))
        for values, reading in family.children.items():
            if reading.read is None:
                continue
            try:
                metric.add_metric(values, float(reading.read()))
            except Exception:  # noqa: BLE001 - one broken source must not take the others down
                self._unreadable_total += 1
                _LOG.exception("metric_unreadable", extra={"metric": family.name, "labels": values})
        return metric


def _counts(family: CounterFamily) -> Metric:
    metric = CounterMetricFamily(family.name, family.text, labels=_label_names(family))
    for values, counter in family.children.items():
        metric.add_metric(values, counter.value)
    return metric


def _histograms(family: HistogramFamily) -> Metric:
    metric = HistogramMetricFamily(family.name, family.text, labels=_label_names(family))
    for values, histogram in family.children.items():
        metric.add_metric(values, buckets=_buckets(histogram), sum_value=histogram.sum / 1e9)
    return metric


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Cumulative counts by upper edge in seconds."""
    edges = [repr(edge_ns / 1e9) for edge_ns in histogram.edges] + ["+Inf"]
    return list(zip(edges, accumulate(histogram.counts), strict=True))


def _label_names(family: CounterFamily | HistogramFamily | ReadingFamily) -> list[str]:
    return [label.name for label in family.labels]
