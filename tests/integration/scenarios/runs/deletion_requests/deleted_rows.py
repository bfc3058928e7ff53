"""Rows with more references than one request deletes, and the ways to delete them."""

from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from scenarios.access import tokens
from scenarios.models import Run, Scenario
from scenarios.runs import deletion_requests
from scenarios.runs.deletion_requests import Owner, Pace
from tests.integration.scenarios.control_room.test_large_lists import bulk_runs

RUNS = 5
POLLS = {"HX-Request": "true"}


def refer(**fields: Any) -> None:
    bulk_runs(RUNS)
    Run.objects.update(scenario_name="break-exchange", **fields)


def carry_on(rounds: int = 10) -> None:
    """As the watchdog does; by default until nothing is left."""
    for key in deletion_requests.list_requests():
        pace = Pace()
        for _look_and_batch in range(1 + rounds):
            if not deletion_requests.carry_on(key, pace):
                break


def call(client: Client, method: str, path: str, body: str = "") -> Any:
    secret = tokens.create_token(User.objects.get(username="admin"), "a test", tuple(tokens.SCOPES))[1]
    headers = {"Authorization": f"Bearer {secret}"}
    return client.generic(method, f"/api/v1/{path}", body, content_type="application/json", headers=headers)


def delete_on_page(client: Client, row: Owner, app: str = "scenarios") -> str:
    page = reverse(f"admin:{app}_{row._meta.model_name}_delete", args=[row.pk])
    return client.post(page, {"post": "yes"}, follow=True).text


def delete_selected(client: Client, row: Scenario | User, app: str = "scenarios") -> str:
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    return client.post(reverse(f"admin:{app}_{row._meta.model_name}_changelist"), chosen, follow=True).text
