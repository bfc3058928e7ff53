"""Metrics by prometheus_client, right in one process and in many."""

from metrics_app.adapters.prometheus.adapter import PrometheusMetricsAdapter

__all__ = ["PrometheusMetricsAdapter"]
