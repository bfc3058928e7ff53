"""The time of a warm scrape of very many series, and its memory relative to the text.

    python -m benchmarks.peers.large_scrape --files 64 --series 1000000

Each worker has a file of counters and one of histograms, and series that no other worker has. Prints the
seconds of processor time that a warm scrape takes, how much memory it takes at its height beyond what stays,
and how much stays, both in parts of the text's size.
"""

import argparse
import ctypes
import gc
import json
import random
import tempfile
import time
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

from benchmarks.peers.scrape import LABELS, TEXT
from metrics_app.adapters.prometheus.collector import SlotCollector
from metrics_app.adapters.prometheus.writer import Writer
from metrics_app.catalogue import REQUEST_BUCKETS

BOUNDS = [floatToGoString(bound) for bound in (*REQUEST_BUCKETS, float("inf"))]
COUNTERS = ("http_requests", "http_request_errors", "orders", "payments")
DURATION = "http_request_duration_seconds"


def keys(kind: str, first: int, number: int) -> list[str]:
    found: list[str] = []
    for route in range(first, first + number):
        labels = ["GET", f"shop:route-{route}", "200"]
        if kind == "counter":
            found += [mmap_key(name, f"{name}_total", LABELS, labels, "Help.") for name in COUNTERS]
        else:
            bucket = f"{DURATION}_bucket"
            found += [mmap_key(DURATION, bucket, [*LABELS, "le"], [*labels, le], "Help.") for le in BOUNDS]
            found.append(mmap_key(DURATION, f"{DURATION}_sum", LABELS, labels, "Help."))
        if len(found) >= number:
            break
    return found[:number]


def written(directory: Path, files: int, series: int) -> tuple[MmapedDict, str]:
    """The files; one of them stays open, with a key in it."""
    of_file = series // files
    for worker in range(files // 2):
        for kind in ("counter", "histogram"):
            file = MmapedDict(str(directory / f"{kind}_{worker}.db"))
            chosen = keys(kind, worker * of_file, of_file)
            random.Random(worker).shuffle(chosen)
            for key in chosen:
                file.write_value(key, float(len(key)), 0.0)
            if (worker, kind) != (0, "counter"):
                file.close()
            else:
                kept = file, chosen[0]
    return kept


def memory(of: str) -> int:
    """Bytes of this process: VmRSS, or VmHWM since it was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(of))


def settle() -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def measured(directory: Path, files: int, series: int) -> dict[str, float]:
    file, key = written(directory, files, series)
    before = settle()
    collector, writer = SlotCollector(directory), Writer({})
    seconds, height, stays, size = 0.0, 0.0, 0.0, 0
    for number in range(4):
        file.write_value(key, number + 0.5, 0.0)
        rests = settle()
        start = time.process_time()
        text = writer.text(collector.snapshots()[:-1], generate_latest, TEXT)
        seconds = time.process_time() - start
        height, stays, size = memory("VmHWM") - rests, rests - before, len(text)
        del text
    return {"seconds": seconds, "memory": height / size, "stays": stays / size, "megabytes": size / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--series", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps(measured(Path(directory), arguments.files, arguments.series)))


if __name__ == "__main__":
    main()
