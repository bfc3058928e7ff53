"""Pods of a new version wait until the database has every migration of it."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from scenarios.management.commands import wait_for_migrations

pytestmark = pytest.mark.django_db


def wait(seconds: float = 0.0) -> str:
    output = StringIO()
    call_command("wait_for_migrations", wait=seconds, stdout=output)
    return output.getvalue()


def test_migrated_database_is_not_waited_for() -> None:
    assert wait() == "The database has every migration.\n"


def test_missing_migration_is_named(capsys: Any) -> None:
    last = MigrationRecorder.Migration.objects.filter(app="scenarios").order_by("-name")[0]
    last.delete()
    with pytest.raises(CommandError, match=rf"1 missing migration.* scenarios\.{last.name} after 0 s"):
        wait()


def test_migration_that_comes_later_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    last = MigrationRecorder.Migration.objects.filter(app="scenarios").order_by("-name")[0]
    app, name = last.app, last.name
    last.delete()
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        MigrationRecorder.Migration.objects.create(app=app, name=name)

    monkeypatch.setattr(f"{wait_for_migrations.__name__}.time.sleep", sleep)
    assert wait(600.0).endswith("The database has every migration.\n")
    assert len(waited) == 1


def test_database_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(MigrationExecutor, "migration_plan", refuse)
    monkeypatch.setattr(connection, "close", lambda: None)  # the test's own transaction goes on
    with pytest.raises(CommandError, match=r"cannot be reached \(connection refused\)"):
        wait()
