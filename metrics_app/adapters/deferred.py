"""Recordings that wait until the recording that they have interrupted is done."""

from collections import deque

from metrics_app.catalogue import Kind
from metrics_app.ports import Labels

DeferredRecording = tuple[Kind, str, Labels, str, float]
"""Kind, name and labels of the metric, the name of the series' method, and its argument."""


class Deferred:
    """Keeps recordings that have interrupted another one, and so cannot be made now."""

    __slots__ = ("_deferred", "_metric")

    def __init__(self, deferred: deque[DeferredRecording], kind: Kind, name: str, labels: Labels) -> None:
        self._deferred = deferred
        self._metric = kind, name, dict(labels)

    def add(self, amount: float) -> None:
        self._deferred.append((*self._metric, "add", amount))

    def set(self, value: float) -> None:
        self._deferred.append((*self._metric, "set", value))
