"""A VictoriaMetrics server for tests: the OTLP receiver over HTTP that Debian packages."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.loopback import free_port, is_listening, wait_for


class VictoriaMetrics:
    """One server, with its clients' names kept as the metrics package exposes them to Prometheus."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self.otlp_endpoint = f"{self._address}/opentelemetry/v1/metrics"

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """The labels and the value of each series of the answer."""
        asked = urllib.parse.urlencode({"query": promql})
        with urllib.request.urlopen(f"{self._address}/api/v1/query?{asked}", timeout=300) as answer:
            found = json.load(answer)["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]


@contextmanager
def victoria_metrics(folder: Path) -> Iterator[VictoriaMetrics]:
    program = shutil.which("victoria-metrics")
    assert program is not None, "VictoriaMetrics is not installed"
    port = free_port()
    options = [
        f"-httpListenAddr=127.0.0.1:{port}",
        f"-storageDataPath={folder / 'victoria-metrics'}",
        "-opentelemetry.usePrometheusNaming",
        "-search.latencyOffset=0s",
        "-memory.allowedBytes=128MB",
    ]
    with (folder / "victoria-metrics.log").open("wb") as log:
        process = subprocess.Popen([program, *options], stdout=log, stderr=log)
    try:
        wait_for(lambda: is_listening(port), what="VictoriaMetrics listens")
        yield VictoriaMetrics(port)
    finally:
        process.terminate()
        process.wait(300)
