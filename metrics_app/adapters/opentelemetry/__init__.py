"""Metrics by the OpenTelemetry SDK; each process pushes its own by OTLP over HTTP."""

from metrics_app.adapters.opentelemetry.adapter import OpenTelemetryMetricsAdapter

__all__ = ["OpenTelemetryMetricsAdapter"]
