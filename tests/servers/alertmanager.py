"""An Alertmanager for tests, on the loopback. By default it notifies nobody."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.loopback import free_port, wait_for
from tests.servers.prometheus_server import is_ready

PROGRAM = "prometheus-alertmanager"
NOBODY = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@contextmanager
def alertmanager(folder: Path, configuration: str = NOBODY) -> Iterator[str]:
    """Run an Alertmanager, and yield its address."""
    config = folder / "alertmanager.yml"
    config.write_text(configuration)
    port = free_port()
    options = [
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (folder / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, *options], stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: is_ready(address), what="Alertmanager is ready")
        yield address
    finally:
        process.terminate()
        process.wait(300)
