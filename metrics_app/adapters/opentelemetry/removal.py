"""Lets the SDK forget removed series: it has no method for that, and would push them for ever.

Only this module touches private parts of the SDK. If a release has them in another form, a removed series is
still pushed with its last value, and a warning says so once.
"""

import logging
from collections.abc import Mapping

from opentelemetry.sdk.metrics import MeterProvider

from metrics_app.adapters.families import Family
from metrics_app.adapters.opentelemetry.series import PushedSeries

logger = logging.getLogger(__name__)


class KnownSeries:
    """The series that the SDK was given. A series that was removed and recorded again is another object."""

    def __init__(self, provider: MeterProvider) -> None:
        self._provider = provider
        self._known: dict[int, tuple[str, PushedSeries]] = {}
        self._has_warned = False

    def compare(self, families: list[Family[PushedSeries]]) -> None:
        """Forget the series that no longer exist."""
        now = {
            id(series): (family.definition.name, series)
            for family in families
            for series in list(family.series.values())
        }
        for gone in self._known.keys() - now.keys():
            name, series = self._known[gone]
            self._forget(name, series.attributes)
        self._known = now

    def _forget(self, name: str, attributes: Mapping[str, str | int]) -> None:
        try:
            forget_series(self._provider, name, attributes)
        except AttributeError as error:
            if not self._has_warned:
                logger.warning("Removed series are still pushed: this release of OpenTelemetry has %s", error)
            self._has_warned = True


def forget_series(provider: MeterProvider, name: str, attributes: Mapping[str, str | int]) -> None:
    """Remove the values of one series from everything that the provider pushes.

    Raises:
        AttributeError: the installed release keeps them in another form.
    """
    for storage in provider._measurement_consumer._reader_storages.values():  # noqa: SLF001
        for instrument, matches in list(storage._instrument_view_instrument_matches.items()):  # noqa: SLF001
            for match in matches if instrument.name == name else ():
                with match._lock:  # noqa: SLF001
                    aggregations = match._attributes_aggregation  # noqa: SLF001
                    for key, aggregation in list(aggregations.items()):
                        if aggregation._attributes == attributes:  # noqa: SLF001
                            del aggregations[key]
