"""The cost of incrementing a library's counter, compared with prometheus_client's multiprocess value.

    PROMETHEUS_MULTIPROC_DIR=… python -m benchmarks.peers.library_values

Prints microseconds of processor time: of `Counter.inc` and `Histogram.observe`, in prometheus_client's own
mode of many processes and stored in a slot. The two take turns.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Histogram, values

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.adapters.prometheus.library_values import LibraryValue, library

CALLS = 20_000
ROUNDS = 15


def made() -> dict[str, Callable[[], Any]]:
    counter = Counter("counted", "Help.", ["x"], registry=None).labels("a")
    histogram = Histogram("observed", "Help.", registry=None)
    return {"inc": counter.inc, "observe": lambda: histogram.observe(0.3)}


def microseconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - start) / CALLS * 1e6


def main() -> None:
    variants = {"stock": made()}
    with tempfile.TemporaryDirectory() as directory:
        metrics = PrometheusMetricsAdapter(directory=Path(directory))
        # What is there already would be taken over as well.
        library.find_store = lambda: metrics.library_store
        values.ValueClass = LibraryValue
        variants["slots"] = made()
        took: dict[str, dict[str, list[float]]] = {name: {} for name in variants}
        for _ in range(ROUNDS):
            for name, calls in variants.items():
                for what, call in calls.items():
                    took[name].setdefault(what, []).append(microseconds(call))
        metrics.close()
    print(json.dumps({name: {what: min(t) for what, t in of.items()} for name, of in took.items()}))


if __name__ == "__main__":
    main()
