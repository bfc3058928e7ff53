"""Prints the microseconds per worker and scrape for the text of its runtime metrics.

python -m benchmarks.peers.runtime
"""

import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import thread_time

from prometheus_client import generate_latest

from metrics_app.adapters.prometheus.runtime import RuntimeCollector
from metrics_app.adapters.prometheus.writer import Writer
from tests.other_process import OtherProcess

WORKERS = 8
SCRAPES = 500


def main() -> None:
    with tempfile.TemporaryDirectory() as name, ExitStack() as workers:
        directory = Path(name)
        for _ in range(WORKERS):
            workers.enter_context(OtherProcess(directory))
        collector, writer = RuntimeCollector(directory), Writer({"service": "shop"})
        took = []
        for _ in range(SCRAPES):
            start = thread_time()
            writer.text(collector.snapshots(), generate_latest, "text/plain")
            took.append((thread_time() - start) * 1e6 / WORKERS)
    print(statistics.median(took))


if __name__ == "__main__":
    main()
