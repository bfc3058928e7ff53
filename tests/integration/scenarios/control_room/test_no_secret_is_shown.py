"""A secret that a run used, and that its steps printed, is on no page and in no report."""

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from scenarios.library import services as registered_services
from scenarios.models import Fault, Run, Scenario, Schedule
from scenarios.planning import approvals
from scenarios.reports import FORMATS
from scenarios.runs import commands as run_commands
from scenarios.runs import executor
from tests.integration.scenarios.planned_rows import read_approval, scheduled, someone, stored

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "correct-horse-battery"
REFERENCE = "${secret:TOKEN}"
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: with-a-secret}
spec:
  phases:
    - name: chaos
      actions:
        - name: tell it
          do: &tell
            command: {run: [sh, -c, 'echo "$TOKEN"; echo "$TOKEN" >&2'], env: {TOKEN: "${secret:TOKEN}"}}
          undo: *tell
        - name: break it
          do: {http: {service: exchange, path: "/?${secret:TOKEN}", headers: {X-Token: "${secret:TOKEN}"}}}
"""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Run:
    """A run that was approved, printed its secret, and failed with it in its hands."""
    monkeypatch.setenv(f"{settings.SCENARIO_SECRET_PREFIX}TOKEN", SECRET)
    settings.ALLOWED_COMMANDS = ("sh",)
    settings.ALLOWED_COMMAND_VARIABLES = {"sh": {"TOKEN"}}
    service = registered_services.register_service("exchange", "http://127.0.0.1:1")
    service.is_protected = True
    registered_services.save_service(service)
    ann = someone("ann", "run_scenario")
    scenario = stored(DOCUMENT, by=ann)
    scheduled(ann, scenario_name=scenario.name)
    run = run_commands.start_run(DOCUMENT, {}, origin="admin", scenario=scenario, by=ann)
    approvals.approve(read_approval(run), by=someone("bob"))
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    return ended


def pages(run: Run) -> list[str]:
    models = ("scenario", "run", "fault", "service", "schedule", "approval")
    here = f"/admin/scenarios/run/{run.pk}"
    scenario = f"/admin/scenarios/scenario/{Scenario.objects.get().pk}"
    return [
        "/admin/",
        "/metrics",
        *(f"/admin/scenarios/{model}/" for model in models),
        *(f"{here}/{part}/" for part in ("change", "live", "events")),
        f"{here}/step/?phase=chaos&name=tell+it",
        f"{here}/step/?phase=chaos&name=break+it",
        *(f"{here}/report/?format={name}" for name in FORMATS),
        *(f"{scenario}/{part}/" for part in ("change", "history", "run")),
        f"/admin/scenarios/fault/{Fault.objects.get().pk}/change/",
        f"/admin/scenarios/schedule/{Schedule.objects.get().pk}/change/",
        f"/admin/scenarios/approval/{read_approval(run).pk}/change/",
        f"/admin/scenarios/approval/{Schedule.objects.get().approvals.get().pk}/change/",
    ]


def test_nobody_sees_a_secret_not_even_a_superuser(admin_client: Client, told: Run) -> None:
    shown = {page: admin_client.get(page).content.decode() for page in pages(told)}
    assert {page for page, content in shown.items() if SECRET in content} == set()
    assert "***" in shown[f"/admin/scenarios/run/{told.pk}/step/?phase=chaos&name=tell+it"]
    assert REFERENCE in shown[f"/admin/scenarios/approval/{read_approval(told).pk}/change/"]
