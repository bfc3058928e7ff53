"""Few rows are many here."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from scenarios.models import Scenario
from scenarios.runs import deletion_requests
from tests.integration.scenarios.planned_rows import stored
from tests.integration.scenarios.runs.deletion_requests.deleted_rows import refer


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Of each statement that changed runs, how many; all of a watchdog's are small here."""
    monkeypatch.setattr(deletion_requests, "MAX_AT_ONCE", 2)
    for name in ("FIRST_ROWS", "MIN_ROWS", "MAX_ROWS"):
        monkeypatch.setattr(deletion_requests, name, 2)
    changed: list[int] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if sql.startswith('UPDATE "scenarios_run"'):
            changed.append(context["cursor"].rowcount)
        return result

    with connection.execute_wrapper(note):
        yield changed


@pytest.fixture
def scenario(batches: list[int]) -> Scenario:
    row = stored()
    refer(scenario=row)
    batches.clear()
    return row


@pytest.fixture
def ann(batches: list[int]) -> User:
    person = User.objects.create_user("ann", is_staff=True)
    refer(started_by=person)
    batches.clear()
    return person
