"""A Prometheus server for tests, on the loopback."""

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.loopback import free_port, wait_for


def is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def prometheus(config: Path, data: Path, *more_options: str) -> Iterator[str]:
    """Run a Prometheus with this configuration, and yield its address."""
    port = free_port()
    options = [
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        *more_options,
    ]
    log = config.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(["prometheus", *options], stdout=output, stderr=output)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: is_ready(address), what="Prometheus is ready")
        yield address
    finally:
        process.terminate()
        process.wait(300)


def scraping(config: Path, port: int) -> Path:
    """A configuration that scrapes the exchange each second."""
    targets = [{"targets": [f"127.0.0.1:{port}"]}]
    job = {"job_name": "exchange", "honor_labels": True, "static_configs": targets}
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
    return config


@contextmanager
def measuring(folder: Path, port: int) -> Iterator[dict[str, str]]:
    """The coordinator's environment for a Prometheus that scrapes the exchange; empty if Prometheus is not
    installed.
    """
    if shutil.which("prometheus") is None:
        yield {}
        return
    with prometheus(scraping(folder / "prometheus.yml", port), folder / "tsdb") as address:
        yield {"PROMETHEUS_URL": address, "PROMETHEUS_SCRAPE_SECONDS": "1"}
