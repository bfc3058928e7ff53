"""Metrics by the OpenTelemetry SDK, pushed by OTLP over HTTP by each process on its own."""

from metrics_app.adapters.opentelemetry.adapter import OpenTelemetryMetricsAdapter

__all__ = ["OpenTelemetryMetricsAdapter"]
