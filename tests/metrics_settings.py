"""Settings of the metrics package for the duration of a test."""

from typing import Any

from django.conf import settings
from django.test import override_settings


def override_metrics(**keys: Any) -> override_settings:
    """These keys of METRICS, and the others as they are now."""
    return override_settings(METRICS={**settings.METRICS, **keys})
