"""Servers in another language fork by the C library's function: Python's hooks are then not called."""

import subprocess
import sys
from pathlib import Path

from tests.exposition import value

CODE = """
import ctypes, os, sys
from pathlib import Path
from prometheus_client import Counter
from metrics_app import current
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter

adapter = PrometheusMetricsAdapter(directory=Path(sys.argv[1]))
current.set_up(current.Setup(lambda: adapter, lambda: True, lambda: None))
current.adapter = adapter
PrometheusMetricsAdapter.take_over_libraries(current.get_metrics)
jobs = Counter("jobs", "Jobs.")
jobs.inc(5)
adapter.announce()
fork = ctypes.PyDLL(None).fork
for _ in range(3):
    child = fork()
    if child:
        os.waitpid(child, 0)
        continue
    recorder = adapter.request_recorder()
    for _ in range(100):
        recorder.begin("GET")
        jobs.inc()
        recorder.finish(("GET", "home", 200), 0.1)
    os._exit(0)
sys.stdout.buffer.write(adapter.get_http_handler()())
"""


def test_a_child_that_was_forked_without_hooks_counts_in_a_slot_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path / "metrics")]
    text = subprocess.run(command, check=True, capture_output=True, timeout=300).stdout
    assert value(text, "http_requests_total", route="home") == 300
    assert value(text, "jobs_total") == 305
