"""Containers of a real dockerd, which faults are injected on."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.container_engine import SHOP, ContainerEngine, docker_engine
from tests.unit.scenarios.drivers.container.container_fault import NETWORK, find_guardians


@pytest.fixture(scope="module")
def docker() -> Iterator[ContainerEngine]:
    with docker_engine() as engine:
        engine.ask("POST", "/networks/create", {"Name": NETWORK, "CheckDuplicate": True})
        yield engine


@pytest.fixture
def engine(docker: ContainerEngine, settings: Any, tmp_path: Path) -> Iterator[ContainerEngine]:
    settings.CONTAINER_ENGINES = {"local": docker.url}
    settings.ALLOWED_CONTAINERS = ("shop-*", "queue=yes")
    settings.DATA_DIR = tmp_path
    yield docker
    for pid in find_guardians():
        os.kill(pid, signal.SIGKILL)
    docker.remove_all()


@pytest.fixture
def shop(engine: ContainerEngine) -> str:
    engine.run("shop-1", labels=SHOP)
    return "shop-1"


@pytest.fixture
def networked(engine: ContainerEngine) -> str:
    """A container with former values of everything that faults change."""
    endpoint = {NETWORK: {"Aliases": ["shop"], "IPAMConfig": {}}}
    engine.run(
        "shop-1",
        labels=SHOP,
        network=NETWORK,
        more={"NetworkingConfig": {"EndpointsConfig": endpoint}},
        Memory=128 << 20,
    )
    return "shop-1"
