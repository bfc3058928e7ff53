"""Finds rows of this machine's coordinator, and describes them as the API does."""

from coordinator_client.command_line.coordinator import ScenarioNotFound
from coordinator_client.parsing import parse
from coordinator_client.records import Run
from scenarios import models
from scenarios.published.records import json_fields, record_run


def find_scenario(name: str) -> models.Scenario:
    row = models.Scenario.objects.select_related("changed_by").filter(name=name).first()
    if row is None:
        raise ScenarioNotFound(name, list(models.Scenario.objects.values_list("name", flat=True)))
    return row


def get_run(run_id: str) -> models.Run:
    return models.Run.objects.select_related("started_by").get(id=run_id)


def describe_run(row: models.Run) -> Run:
    return parse(Run, json_fields(record_run(row)))
