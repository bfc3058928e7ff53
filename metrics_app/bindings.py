"""Objects that are bound once for many requests, in a bounded number."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from metrics_app import catalogue
from metrics_app.misuse import report
from metrics_app.observed_request import ObservedRequest, RequestLabel

MAX_LABEL_VALUES = 100
"""Values of one extra label in each process; what comes later is counted as `overflow`."""

Bound = TypeVar("Bound")


class Bindings(Generic[Bound]):
    """What `bind` returns for a key, called once for each key; bounded like the series of a metric."""

    def __init__(self, bind: Callable[..., Bound], limit: int) -> None:
        self._bind = bind
        self._bound: dict[tuple[object, ...], Bound] = {}
        self._limit = limit

    def find(self, *key: object) -> Bound:
        found = self._bound.get(key)
        if found is None:
            found = self._bind(*key)
            if len(self._bound) < self._limit:
                self._bound[key] = found
        return found


class ExtraLabels:
    """The values of a request's extra labels, each from a small set."""

    def __init__(self, functions: Mapping[str, RequestLabel]) -> None:
        self._functions = dict(functions)
        self._known: dict[str, set[str]] = {name: set() for name in functions}

    def find(self, measured: ObservedRequest) -> tuple[str, ...]:
        return tuple([self._find(name, measured) for name in self._functions])

    def _find(self, name: str, measured: ObservedRequest) -> str:
        try:
            value = str(self._functions[name](measured.source))
        except Exception as error:  # noqa: BLE001 - whatever a project's function raises
            report(f"the label {name!r}", error)
            return ""
        known = self._known[name]
        if value not in known:
            if len(known) >= MAX_LABEL_VALUES:
                return catalogue.OVERFLOW
            known.add(value)
        return value
