"""The standard OTEL_* variables that this adapter reads itself; the SDK reads the others.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from metrics_app.ports import AdapterSettingsError

PROTOCOL = "http/protobuf"
DEFAULT_ENDPOINT = "http://localhost:4318"
DEFAULT_INTERVAL = "60000"


@dataclass(frozen=True, slots=True)
class PushSettings:
    """Where to push, and the seconds between two pushes."""

    endpoint: str
    interval: float
    disabled: bool = False
    """The SDK then takes everything and pushes nothing."""

    @property
    def shown_endpoint(self) -> str:
        """The endpoint as it may be shown: without user, password and query."""
        parts = urlsplit(self.endpoint)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def push_settings() -> PushSettings:
    """The settings of the environment.

    Raises:
        AdapterSettingsError: it makes no sense, or asks for what this adapter cannot do.
    """
    _refuse_other_protocols()
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return PushSettings(_endpoint(), _interval(), disabled)


def _refuse_other_protocols() -> None:
    name, value = _first("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    if value and value != PROTOCOL:
        raise AdapterSettingsError(
            f"{name}={value!r} is not supported: metrics are pushed by {PROTOCOL!r}, so set "
            f"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL to that."
        )


def _endpoint() -> str:
    name, value = _first("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    if not _is_url(value or DEFAULT_ENDPOINT):
        raise AdapterSettingsError(f"{name}={value!r} is not a URL: write it as 'http://collector:4318'.")
    if name == "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT":
        return value
    return f"{(value or DEFAULT_ENDPOINT).removesuffix('/')}/v1/metrics"


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port_is_one


def _interval() -> float:
    value = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL") or DEFAULT_INTERVAL
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise AdapterSettingsError(
            f"OTEL_METRIC_EXPORT_INTERVAL={value!r} is not valid: use a whole number of milliseconds above 0."
        )
    return int(value) / 1000


def _first(*names: str) -> tuple[str, str]:
    """The first of these variables that is set, and its value; an empty one is not set."""
    return next(((name, os.environ[name]) for name in names if os.environ.get(name)), ("", ""))
