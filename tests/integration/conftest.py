"""What every test with a database needs."""

import asyncio
from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async
from django.db import connections


@pytest.fixture(scope="session", autouse=True)
def connection_of_the_other_thread(django_db_setup: None) -> Iterator[None]:
    """asgiref has one thread in which what runs asynchronously asks the database.

    Its connection stays open from test to test, and would keep the tests' database in use when it is removed.
    """
    yield
    asyncio.run(sync_to_async(connections.close_all)())
