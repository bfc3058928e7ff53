"""A disk that is full under the metrics directory costs recordings, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers import small_disk

pytestmark = pytest.mark.small_disk

PROGRAM = """
import json, os, sys
from pathlib import Path
from metrics_app import current
from metrics_app import metrics as own
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from tests.exposition import samples, value

directory, pages = Path(sys.argv[1]), int(sys.argv[2])
metrics = PrometheusMetricsAdapter(directory=directory)
current.set_up(current.Setup(lambda: metrics, lambda: False, lambda: None))
orders = own.counter("shop_orders_total", "Orders.", labels=("kind",))
recorder, scrape = metrics.request_recorder(), metrics.get_http_handler()
disk = os.statvfs(directory)
(directory / "filling").write_bytes(bytes((disk.f_bavail - pages) * disk.f_frsize))
before = len(os.listdir("/proc/self/fd"))
for _ in range(50):
    recorder.begin("GET")
    recorder.finish(("GET", "home", 500), 0.1)
    orders.labels("book").inc()
    orders.remove("map")
recorder.begin("GET")
told = {"descriptors": len(os.listdir("/proc/self/fd")) - before, "scrape": len(samples(scrape()))}
(directory / "filling").unlink()
for _ in range(2):
    recorder.finish(("GET", "home", 500), 0.1)
    recorder.begin("GET")
    orders.labels("book").inc()
text = scrape()
names = ["http_requests_total", "http_request_errors_total", "http_requests_in_progress", "shop_orders_total"]
for name in names:
    told[name] = value(text, name)
print(json.dumps(told))
"""


@pytest.mark.parametrize("free_pages", [0, 1, 2, 3, 20, 36])
def test_requests_are_answered_while_the_disk_is_full_and_counted_again_afterwards(
    tmp_path: Path, free_pages: int
) -> None:
    program = (sys.executable, "-c", PROGRAM, str(tmp_path), str(free_pages))
    ended = subprocess.run(
        small_disk.inside(tmp_path, *program), capture_output=True, text=True, check=True, timeout=60
    )
    told: dict[str, Any] = json.loads(ended.stdout)
    assert told["descriptors"] < 10
    assert told["scrape"] > 0
    # What was recorded before the disk was full is there as well.
    assert told["http_requests_total"] >= 2
    assert told["http_request_errors_total"] >= 2
    assert told["http_requests_in_progress"] == 1
    assert told["shop_orders_total"] >= 2
