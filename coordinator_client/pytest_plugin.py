"""A fixture for pytest, which finds it by itself where the package is installed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from coordinator_client import Client


@pytest.fixture(scope="session")
def coordinator() -> Iterator["Client"]:
    """The coordinator of the environment or the default profile.

    `assert coordinator.run("exchange-latency", delay_ms=300).passed`. A run whose test is interrupted is
    stopped, and its faults are undone.
    """
    # Not before a test asks for it: every run of pytest would import all of it.
    from coordinator_client import Client, SettingsError  # noqa: PLC0415

    client, refusal = None, ""
    try:
        client = Client.from_profile()
    except SettingsError as error:
        refusal = str(error)
    if client is None:  # outside 'except', so that pytest shows the sentence once
        pytest.fail(refusal, pytrace=False)
    with client:
        yield client
