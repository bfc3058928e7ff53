"""A real API server, with a shop of its own for each test."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.servers.chaos_definitions import install_definitions
from tests.servers.cluster_shop import Shop, build_fault, open_shop
from tests.servers.kube_apiserver import ApiServer, kube_apiserver
from tests.unit.scenarios.drivers.one_fault import injecting


# One for all files of a process; each test has a namespace of its own.
@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with kube_apiserver(tmp_path_factory.mktemp("cluster")) as server:
        install_definitions(server)
        yield server


@pytest.fixture
def shop(api_server: ApiServer, settings: Any) -> Shop:
    settings.KUBERNETES_CONFIG = str(api_server.kubeconfig)
    return open_shop(api_server)


@pytest.fixture
async def inject(shop: Shop) -> AsyncIterator[Any]:
    """Injects a fault of these words, which ends with the test."""
    async with injecting(build_fault) as begin:
        yield begin
