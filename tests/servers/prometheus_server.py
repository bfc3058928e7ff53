"""A Prometheus of the test's own, on the loopback."""

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
def prometheus(config: Path, data: Path) -> Iterator[str]:
    """Its address, while it scrapes what the configuration says."""
    port = free_port()
    options = [
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
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
        process.wait(15)
