"""The values of this process that recordings change, and that the push passes to the SDK."""

import re
from collections import deque
from collections.abc import Callable, Mapping

from metrics_app.catalogue import Definition, Kind
from metrics_app.ports import InvalidMetricNameError

# The SDK writes names in lower case and has no colon, so that two names could become one.
INSTRUMENT_NAME = re.compile(r"[a-z][a-z0-9_./-]{0,254}")

MANY_WAITING = 1000
"""Observations of one series after which the SDK is asked to take them before the next push."""
MAX_WAITING = 100 * MANY_WAITING
"""Observations of one series that are kept while the SDK takes none; then the oldest go."""


class Level:
    """The total of a counter or the value of a gauge; callers that change it hold the lock."""

    __slots__ = ("attributes", "value")

    def __init__(self, attributes: Mapping[str, str | int]) -> None:
        self.attributes = attributes
        self.value = 0.0

    def add(self, amount: float) -> None:
        self.value += amount

    def set(self, value: float) -> None:
        self.value = value


class Observations:
    """The values that a histogram has observed and the SDK has not taken yet.

    The SDK could take each at once, but under locks that it also holds while it collects, and that are not
    re-entrant: a finaliser that the garbage collector runs at the wrong moment would wait for ever. Appending
    needs no lock.
    """

    __slots__ = ("_many", "attributes", "waiting")

    def __init__(self, attributes: Mapping[str, str | int], many: Callable[[], None]) -> None:
        self.attributes = attributes
        self.waiting: deque[float] = deque(maxlen=MAX_WAITING)
        self._many = many

    def add(self, value: float) -> None:
        self.waiting.append(value)
        waiting = len(self.waiting)
        if not waiting % MANY_WAITING and waiting < MAX_WAITING:
            self._many()


PushedSeries = Level | Observations


def checked(definition: Definition) -> Definition:
    """The same definition.

    Raises:
        InvalidMetricNameError: the name is not valid in OpenTelemetry.
    """
    if not INSTRUMENT_NAME.fullmatch(definition.name):
        raise InvalidMetricNameError(
            f"{definition.name!r} is not a name that OpenTelemetry keeps: use small letters, digits, '_', "
            f"'.', '-' and '/', a letter first, as in 'http_requests_total'."
        )
    return definition


def series(
    definition: Definition, label_values: tuple[str, ...], many_waiting: Callable[[], None]
) -> PushedSeries:
    names = checked(definition).otlp_labels or definition.label_names
    labels = dict(zip(names, label_values, strict=True))
    if definition.kind is Kind.HISTOGRAM:
        return Observations(attributes(labels), many_waiting)
    return Level(attributes(labels))


def attributes(labels: Mapping[str, str]) -> dict[str, str | int]:
    """The labels that are not empty, as text that can be sent; any other text would stop every push."""
    return {name: _attribute(name, value) for name, value in labels.items() if value}


def _attribute(name: str, value: str) -> str | int:
    if name == "http.response.status_code" and value.isdigit():
        return int(value)  # the semantic conventions want a number
    return value.encode(errors="replace").decode()
