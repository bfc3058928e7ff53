"""Compose as `podman compose` carries it out: docker-compose speaks to the socket of Podman."""

import re
import subprocess
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from tests.servers.compose_project import LEFT_OUT, write_compose
from tests.servers.container_engine import LIMITS, ContainerEngine

# Its API builds as Docker's did before BuildKit.
PROGRAM = ("env", "DOCKER_BUILDKIT=0", "docker-compose")
CHECKED = {"postgres", "redis"}


@contextmanager
def health_checks(engine: ContainerEngine) -> Iterator[None]:
    """Check the services that others wait for, which Podman leaves to timers of the systemd that it finds."""
    over = threading.Event()

    def check() -> None:
        while not over.wait(1):
            with suppress(AssertionError):  # a container may go while the engine lists it
                for name in engine.list_names():
                    if CHECKED & set(re.split("[-_]", name)):
                        command = [*engine.podman, "healthcheck", "run", name]
                        subprocess.run(command, capture_output=True, check=False, timeout=600)

    with ThreadPoolExecutor(1) as thread:
        checking = thread.submit(check)
        try:
            yield
        finally:
            over.set()
    checking.result()


def write_limits(file: Path, files: Iterable[Path]) -> Path:
    """The compose file with which services may have fewer open files: some kernels allow no more."""
    documents = [yaml.safe_load(each.read_text()) for each in files]
    names = {name for document in documents for name in document["services"]} - {LEFT_OUT}
    limits = {limit["Name"]: {"soft": limit["Soft"], "hard": limit["Hard"]} for limit in LIMITS}
    return write_compose(file, {name: {"ulimits": limits} for name in sorted(names)})
