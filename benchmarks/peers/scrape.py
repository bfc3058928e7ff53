"""The cost of a scrape with the stock collector, and with this product's, cold and warm.

    python -m benchmarks.peers.scrape --workers 16 --series 5000

Prints milliseconds to the finished text. Each worker has its series in an order of its own, as the
requests of each come in another order. Before each scrape one worker's values change. The texts are
compared: they are the same, or there is no result.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import thread_time

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.utils import floatToGoString

from metrics_app.adapters.prometheus.collector import SlotCollector
from metrics_app.adapters.prometheus.writer import Writer
from metrics_app.catalogue import REQUEST_BUCKETS

LABELS = ["method", "route", "code"]
TEXT = "text/plain"


def keys(series: int) -> dict[str, list[str]]:
    """Keys by the type of file: request counters, and histograms of 16 series for each fourth of them."""
    bounds = [floatToGoString(bound) for bound in (*REQUEST_BUCKETS, float("inf"))]
    counters: list[str] = []
    histograms: list[str] = []
    route = 0
    while len(counters) + len(histograms) < series:
        values = ["GET", f"shop:route-{route}", "200"]
        counters += [
            mmap_key(name, f"{name}_total", LABELS, values, "Help.")
            for name in ("http_requests", "http_request_errors", "orders", "payments")
        ]
        name = "http_request_duration_seconds"
        histograms += [
            mmap_key(name, f"{name}_bucket", [*LABELS, "le"], [*values, le], "Help.") for le in bounds
        ]
        histograms.append(mmap_key(name, f"{name}_sum", LABELS, values, "Help."))
        route += 1
    return {"counter": counters, "histogram": histograms}


def written(directory: Path, workers: int, series: int) -> list[MmapedDict]:
    """The files of the first worker, kept open, when those of all have been written."""
    files = []
    for worker in range(workers):
        for kind, of_kind in keys(series).items():
            file = MmapedDict(str(directory / f"{kind}_{worker}.db"))
            for key in random.Random(worker).sample(of_kind, len(of_kind)):
                file.write_value(key, float(len(key)), 0.0)
            if worker:
                file.close()
            else:
                files.append(file)
    return files


def scrapes(directory: Path) -> dict[str, Callable[[], bytes]]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))
    kept = SlotCollector(directory), Writer({})

    def ours(collector: SlotCollector, writer: Writer) -> bytes:
        return writer.text(collector.snapshots()[:-1], generate_latest, TEXT)

    ours(*kept)
    return {
        "stock": lambda: generate_latest(registry),
        "cold": lambda: ours(SlotCollector(directory), Writer({})),
        "warm": lambda: ours(*kept),
    }


def measured(directory: Path, workers: int, series: int, rounds: int) -> dict[str, float]:
    changing = written(directory, workers, series)
    variants = scrapes(directory)
    took: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        for file in changing:
            for key in list(file._positions):  # noqa: SLF001 - the keys that were written
                file.write_value(key, number + 0.5, 0.0)
        texts = set()
        for name, scrape in variants.items():
            start = thread_time()
            texts.add(scrape())
            took[name].append((thread_time() - start) * 1e3)
        assert len(texts) == 1, "the texts differ"
    return {name: statistics.median(times) for name, times in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--series", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps(measured(Path(directory), arguments.workers, arguments.series, arguments.rounds)))


if __name__ == "__main__":
    main()
