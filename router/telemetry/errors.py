"""What can be wrong with the telemetry of a server."""

from __future__ import annotations


class TelemetryError(Exception):
    """Telemetry was asked for in a way that cannot be served."""


class ExporterMissingError(TelemetryError):
    """An OTLP endpoint is configured, but the exporter is not installed."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        super().__init__(
            f'[telemetry] otlp_endpoint = "{endpoint}" needs the OTLP exporter, which is not installed: '
            "pip install 'takt[otlp]', or leave otlp_endpoint empty"
        )
