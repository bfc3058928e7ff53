"""Handles recordings that cannot be made; they never fail a request in production."""

import logging
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from threading import local
from time import monotonic

from metrics_app import current
from metrics_app.catalogue import MISUSED
from metrics_app.ports import (
    InvalidMetricNameError,
    MetricKindError,
    MetricLabelsError,
    MetricValueError,
)

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOGS = 60.0
PACKAGE = str(Path(__file__).parent)

KINDS: dict[type[Exception], str] = {
    MetricLabelsError: "labels",
    MetricValueError: "value",
    MetricKindError: "type",
    InvalidMetricNameError: "name",
    OSError: "storage",
}
OTHER = "other"

_next_log: dict[str, float] = {}
_reporting = local()


def report(metric: str, error: Exception) -> None:
    """Raise the error if the settings say so; else count it, and log it once a minute for each kind."""
    if current.find_setup().raises_misuse():
        raise error
    kind = next((kind for type_, kind in KINDS.items() if isinstance(error, type_)), OTHER)
    if monotonic() >= _next_log.get(kind, 0.0):
        _next_log[kind] = monotonic() + SECONDS_BETWEEN_LOGS
        logger.error("%s was not recorded, at %s: %s", metric, _find_caller(), error)
    if getattr(_reporting, "is_busy", False):
        return  # counting it fails in the same way
    _reporting.is_busy = True
    try:
        # What prevented the recording may prevent this one, too.
        with suppress(Exception):
            current.get_metrics().inc_counter(MISUSED, {"metric": metric, "kind": kind})
    finally:
        _reporting.is_busy = False


def _find_caller() -> str:
    """The file and line, outside this package, that tried to record something."""
    for frame, line in traceback.walk_stack(sys._getframe(1)):  # noqa: SLF001 - as the standard library does
        file = frame.f_code.co_filename
        if not file.startswith(PACKAGE):
            return f"{file}:{line}"
    return "?"
