"""The cost of a scrape after 500 workers have been replaced, relative to the first scrape.

    PROMETHEUS_MULTIPROC_DIR=… python -m benchmarks.peers.growth --workers 500

Each worker is forked, counts a few requests and is gone, as under `max_requests`.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import thread_time

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter

SCRAPES = 15


def worker(work: Callable[[], None]) -> int:
    """The process id of one that has worked and is gone."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return child


def milliseconds(scrape: Callable[[], bytes]) -> float:
    took = []
    for _ in range(SCRAPES):
        start = thread_time()
        scrape()
        took.append((thread_time() - start) * 1e3)
    return statistics.median(took)


def stock(workers: int) -> tuple[float, float]:
    from benchmarks.peers import plain  # noqa: PLC0415 - makes its metrics when it is imported

    def work() -> None:
        for route in range(10):
            labels = {"method": "GET", "route": f"route-{route}", "code": "200"}
            plain.IN_PROGRESS.labels(method="GET").inc()
            plain.REQUESTS.labels(**labels).inc()
            plain.DURATION.labels(**labels).observe(0.1)
            plain.IN_PROGRESS.labels(method="GET").dec()

    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    mark_process_dead(worker(work))
    before = milliseconds(lambda: generate_latest(registry))
    for _ in range(workers):
        mark_process_dead(worker(work))
    return before, milliseconds(lambda: generate_latest(registry))


def ours(workers: int) -> tuple[float, float]:
    metrics = PrometheusMetricsAdapter(directory=Path(tempfile.mkdtemp()))

    def work() -> None:
        recorder = metrics.request_recorder()
        for route in range(10):
            recorder.begin("GET")
            recorder.finish(("GET", f"route-{route}", 200), 0.1)

    scrape = metrics.get_http_handler()
    scrape()
    worker(work)
    before = milliseconds(scrape)
    for _ in range(workers):
        worker(work)
    return before, milliseconds(scrape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, default=500)
    arguments = parser.parse_args()
    print(json.dumps({"stock": stock(arguments.workers), "ours": ours(arguments.workers)}))


if __name__ == "__main__":
    main()
