"""What every test with a database needs."""

import asyncio
from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.core.management.commands import flush
from django.db import DatabaseError, connections
from pytest_django import DjangoDbBlocker

WRITTEN_AFTER_MIGRATE = (ContentType, Permission, Group, Group.permissions.through)


@pytest.fixture(scope="session", autouse=True)
def connection_of_the_other_thread(django_db_setup: None) -> Iterator[None]:
    """asgiref has one thread in which what runs asynchronously asks the database.

    Its connection stays open from test to test, and would keep the tests' database in use when it is removed.
    """
    yield
    asyncio.run(sync_to_async(connections.close_all)())


@pytest.fixture(autouse=True)
def _caches_are_empty() -> None:
    """Forget what another test has counted in its own rows."""
    cache.clear()


@pytest.fixture(scope="session", autouse=True)
def quick_flush(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Put back what `migrate` has written after its migrations, at the end of each transactional test.

    Django writes it again row by row there, which took half of the time of these tests.
    """
    try:
        with django_db_blocker.unblock():
            kept = [(model, list(model._default_manager.all())) for model in WRITTEN_AFTER_MIGRATE]
    except DatabaseError:
        kept = []  # no test that runs asks for the database, so there are no tables

    def put_back(_verbosity: int, _interactive: bool, database: str, **_options: object) -> None:
        for model, rows in kept:
            model._default_manager.using(database).bulk_create(rows)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "emit_post_migrate_signal", put_back)
        yield
