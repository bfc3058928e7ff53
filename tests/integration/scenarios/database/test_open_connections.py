"""A connection is used again: to open one costs as much as the write that it is opened for."""

import asyncio
from typing import Any

import pytest
from django.db import connection
from django.db.backends.signals import connection_created
from django.test import Client

from scenarios.database.connections import DatabaseThread
from scenarios.models import Service

CALLS = 5


@pytest.fixture
def opened() -> Any:
    """The connections that are opened meanwhile."""
    found: list[object] = []

    def note(sender: object, **_named: Any) -> None:
        found.append(sender)

    connection_created.connect(note)
    yield found
    connection_created.disconnect(note)


@pytest.mark.django_db(transaction=True)
def test_a_thread_opens_the_database_once_for_many_units_of_work(opened: list[object]) -> None:
    async def call_often() -> None:
        thread = DatabaseThread("test")
        for _ in range(CALLS):
            await thread.call(Service.objects.count)
        await thread.close()

    asyncio.run(call_often())
    assert len(opened) == 1


@pytest.mark.django_db(transaction=True)
def test_a_thread_of_the_web_server_opens_the_database_once_for_many_requests(
    admin_client: Client, opened: list[object]
) -> None:
    connection.close()
    for _ in range(CALLS):
        # What Django's handlers do before each request, and the test client leaves out.
        connection.close_if_unusable_or_obsolete()
        assert admin_client.get("/admin/scenarios/service/").status_code == 200
        connection.close_if_unusable_or_obsolete()
    assert len(opened) == 1
