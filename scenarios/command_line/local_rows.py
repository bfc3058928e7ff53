"""Finds rows of this machine's coordinator, and describes them as the API does."""

from typing import Any

from django.contrib.auth.models import User

from coordinator_client.command_line.coordinator import RunFilter, ScenarioNotFound
from coordinator_client.parsing import parse
from coordinator_client.records import Run
from scenarios import models
from scenarios.domain.outcomes import RunState
from scenarios.domain.outputs import make_storable
from scenarios.published.records import json_fields, record_run


def find_scenario(name: str) -> models.Scenario:
    row = models.Scenario.objects.select_related("changed_by").filter(name=name).first()
    if row is None:
        raise ScenarioNotFound(name, list(models.Scenario.objects.values_list("name", flat=True)))
    return row


def matches(row: models.Scenario, tag: str, text: str) -> bool:
    """Whether it has the tag, and the text in one of the places that the API looks at."""
    words = text.casefold()
    has_text = any(words in part.casefold() for part in (row.name, row.title, row.description))
    return has_text and (not tag or tag in row.tags)


def get_run(run_id: str) -> models.Run:
    return models.Run.objects.select_related("started_by").get(id=run_id)


def describe_run(row: models.Run) -> Run:
    return parse(Run, json_fields(record_run(row)))


def select_runs(which: RunFilter) -> list[models.Run]:
    """The newest runs that the filter matches, by the indexes of the list."""
    rows = models.Run.objects.select_related("started_by").defer("document", "included")
    is_state = which.status in set(RunState)
    if is_state:
        rows = rows.in_state(which.status)
    conditions: dict[str, Any] = {
        "environment": make_storable(which.environment) or None,
        "outcome": None if is_state else which.status or None,
        "rollback": which.rollback or None,
        "queued_at__gte": which.since,
        "queued_at__lte": which.until,
        "started_by": _find_user(which.by),
    }
    rows = rows.filter(**{field: value for field, value in conditions.items() if value is not None})
    found = [row for part in _select_of_scenario(rows, which.scenario) for row in part[: which.limit]]
    return sorted(found, key=lambda row: (row.queued_at, row.id), reverse=True)[: which.limit]


def _select_of_scenario(rows: models.RunQuerySet, name: str) -> list[models.RunQuerySet]:
    """Runs of the stored scenario, and those of files and deleted scenarios that have its name."""
    rows = rows.order_by(*models.NEWEST_FIRST)
    if not name:
        return [rows]
    name = make_storable(name)
    stored = models.Scenario.objects.filter(name=name).values_list("pk", flat=True)
    return [*(rows.filter(scenario=key) for key in stored), rows.filter(scenario=None, scenario_name=name)]


def _find_user(name: str) -> int | None:
    """The primary key of the user with the name: None without a name, 0 if nobody has it."""
    if not name:
        return None
    return User.objects.filter(username=make_storable(name)).values_list("pk", flat=True).first() or 0
