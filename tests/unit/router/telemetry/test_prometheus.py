from __future__ import annotations

import logging

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from budgets.ledger import STAGES
from router.telemetry.prometheus import Exposition
from router.telemetry.registry import Metrics

MS = 1_000_000
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics()
    stages_ns = [MS if stage == "infer" else 0 for stage in STAGES]
    metrics.observe_decision("interactions", "small", "none", "model", 50 * MS, True, stages_ns)
    metrics.observe_decision("interactions", "small", "none", "model", 51 * MS, False, stages_ns)
    return metrics


def scrape(metrics: Metrics) -> Samples:
    page, _ = Exposition(metrics).render()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(page.decode())
        for sample in family.samples
    }


def test_counters_carry_their_labels(metrics: Metrics) -> None:
    samples = scrape(metrics)
    labels = (("degraded", "none"), ("point", "interactions"), ("reason", "model"), ("rung", "small"))
    assert samples["takt_requests_total", labels] == 2
    assert samples["takt_budget_missed_total", (("point", "interactions"),)] == 1


def test_histogram_buckets_are_cumulative_and_in_seconds(metrics: Metrics) -> None:
    samples = scrape(metrics)
    point = ("point", "interactions")
    assert samples["takt_request_seconds_bucket", (("le", "0.025"), point)] == 0
    assert samples["takt_request_seconds_bucket", (("le", "0.05"), point)] == 1
    assert samples["takt_request_seconds_bucket", (("le", "0.075"), point)] == 2
    assert samples["takt_request_seconds_bucket", (("le", "+Inf"), point)] == 2
    assert samples["takt_request_seconds_count", (point,)] == 2
    assert samples["takt_request_seconds_sum", (point,)] == pytest.approx(0.101)


def test_readings_are_read_at_each_scrape(metrics: Metrics) -> None:
    inflight = [3]
    metrics.inflight.child().watch(lambda: inflight[0])
    assert scrape(metrics)["takt_inflight", ()] == 3
    inflight[0] = 4
    assert scrape(metrics)["takt_inflight", ()] == 4


def test_a_reading_without_a_source_has_no_sample(metrics: Metrics) -> None:
    metrics.ready.child()
    assert ("takt_ready", ()) not in scrape(metrics)


def test_a_broken_reading_costs_only_itself(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> float:
        raise RuntimeError("gone")

    metrics.inflight.child().watch(broken)
    metrics.ready.child().watch(lambda: 1)
    with caplog.at_level(logging.ERROR):
        samples = scrape(metrics)
    assert ("takt_inflight", ()) not in samples
    assert samples["takt_ready", ()] == 1
    assert samples["takt_metric_unreadable_total", ()] == 1
    assert caplog.messages == ["metric_unreadable"]


def test_folded_values_are_reported(metrics: Metrics) -> None:
    metrics.queue_length.child("no such queue").watch(lambda: 1)
    samples = scrape(metrics)
    assert samples["takt_metric_folded_total", (("metric", "takt_queue_length"),)] == 1
    assert samples["takt_queue_length", (("queue", "other"),)] == 1


def test_openmetrics_when_asked_for(metrics: Metrics) -> None:
    metrics.set_info("1.0", 'quote " and \\ and\nline')
    page, content_type = Exposition(metrics).render("application/openmetrics-text; version=1.0.0,text/plain;q=0.5")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parse_openmetrics(page.decode())}  # type: ignore[no-untyped-call]
    assert families["takt_requests"].type == "counter"
    assert families["takt_info"].samples[0].labels["plan_version"] == 'quote " and \\ and\nline'


def test_plain_text_otherwise(metrics: Metrics) -> None:
    _, content_type = Exposition(metrics).render("*/*")
    assert content_type.startswith("text/plain; version=0.0.4")


def test_nothing_is_registered_globally(metrics: Metrics) -> None:
    Exposition(metrics)
    assert not any(family.name.startswith("takt_") for family in REGISTRY.collect())
