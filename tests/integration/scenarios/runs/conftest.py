"""Services that runs reach, and who starts the runs."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from scenarios.library import services as registered_services
from tests.integration.scenarios.planned_rows import someone
from tests.servers.recording import Recorder, recording


@pytest.fixture
def custody() -> Iterator[Recorder]:
    """A protected service."""
    with recording() as server:
        registered_services.register_service("custody", server.url, is_protected=True)
        yield server


@pytest.fixture
def shop() -> Iterator[Recorder]:
    """A service that is not protected."""
    with recording() as server:
        registered_services.register_service("shop", server.url)
        yield server


@pytest.fixture
def ann() -> User:
    return someone("ann", "run_scenario")
