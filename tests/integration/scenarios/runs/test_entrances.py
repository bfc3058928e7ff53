"""Admin, API and command line show the same errors, and store nothing when there are any."""

from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.models import Run, Scenario
from scenarios.runs import commands as run_commands

pytestmark = pytest.mark.django_db

CATALOGUE = Path(__file__).parents[4] / "scenarios" / "catalogue"
DOCUMENT = (CATALOGUE / "exchange-latency.yaml").read_text()
INVALID = DOCUMENT.replace("method: POST", "metod: POST", 1)
MISTAKE = "did you mean 'method'?"


def test_the_command_line_shows_the_place_of_a_mistake_exits_2_and_stores_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.yaml").write_text(DOCUMENT)
    (tmp_path / "wrong.yaml").write_text(INVALID)
    with pytest.raises(SystemExit) as exit_:
        call_command("scenario", "import", str(tmp_path))
    assert exit_.value.code == 2
    output = capsys.readouterr().out
    line = 1 + INVALID[: INVALID.index("metod")].count("\n")
    assert f"wrong.yaml:{line}:" in output
    assert MISTAKE in output
    assert not Scenario.objects.exists()


def test_the_admin_shows_the_mistake_at_the_field_and_stores_nothing(admin_client: Client) -> None:
    answer = admin_client.post(reverse("admin:scenarios_scenario_add"), {"document": INVALID})
    errors = answer.context["adminform"].form.errors["document"]
    assert any(error.startswith("line ") and MISTAKE in error for error in errors)
    assert not Scenario.objects.exists()


def test_the_admin_stores_a_valid_document_under_its_own_name(admin_client: Client) -> None:
    answer = admin_client.post(reverse("admin:scenarios_scenario_add"), {"document": DOCUMENT})
    assert answer.status_code == 302
    assert Scenario.objects.get().name == "exchange-latency"


def test_the_admin_asks_for_the_variables_and_shows_what_does_not_fit(admin_client: Client) -> None:
    scenario = stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    page = reverse("admin:scenarios_scenario_run", args=[scenario.pk])
    assert b'name="delay_ms"' in admin_client.get(page).content
    answer = admin_client.post(page, {"delay_ms": "9000", "hold": "3s"})
    assert "at most" in str(answer.context["form"].errors["delay_ms"])
    assert not Run.objects.exists()
    admin_client.post(page, {"delay_ms": "700", "hold": "3s"})
    run = Run.objects.get()
    assert run.variables["delay_ms"] == 700
    for name in ("admin:scenarios_run_change", "admin:scenarios_scenario_change"):
        target = run.pk if "run" in name else scenario.pk
        assert admin_client.get(reverse(name, args=[target])).status_code == 200


@pytest.mark.parametrize("page", ["scenario", "run", "fault", "service", "schedule", "approval"])
def test_each_list_of_the_admin_opens(admin_client: Client, page: str) -> None:
    assert admin_client.get(reverse(f"admin:scenarios_{page}_changelist")).status_code == 200


def test_someone_without_the_permission_can_neither_run_nor_stop(
    client: Client, django_user_model: type
) -> None:
    user = django_user_model.objects.create_user("viewer", password="secret-viewer", is_staff=True)  # type: ignore[attr-defined]
    client.force_login(user)
    scenario = stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    run = run_commands.start_run(DOCUMENT, {}, origin="cli", scenario=scenario)
    assert client.post(reverse("admin:scenarios_scenario_run", args=[scenario.pk])).status_code == 403
    assert client.post(reverse("admin:scenarios_run_stop", args=[run.pk])).status_code == 403


def test_the_api_answers_a_problem_document_with_line_and_column_and_stores_nothing(
    admin_client: Client,
) -> None:
    address = reverse("api:scenario", args=["exchange-latency"])
    answer = admin_client.put(address, INVALID, content_type="application/yaml")
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert MISTAKE in error["message"] + error["hint"]
    assert error["line"] > 1
    assert not Scenario.objects.exists()
    assert admin_client.put(address, DOCUMENT, content_type="application/yaml").status_code == 201


def test_the_api_refuses_requests_without_a_login(client: Client) -> None:
    answer = client.put(reverse("api:scenario", args=["x"]), DOCUMENT, content_type="application/yaml")
    assert answer.status_code == 401


def test_health_names_the_process_and_ready_names_the_failing_part(client: Client) -> None:
    assert client.get(reverse("api:health")).json()["status"] == "ok"
    answer = client.get(reverse("api:ready"))
    assert answer.status_code == 503
    parts = answer.json()["parts"]
    assert parts["database"]["ready"]
    assert "manage.py db_worker" in parts["worker"]["problem"]
    assert "manage.py watchdog" in parts["watchdog"]["problem"]


EXPERIMENT = """{
 "title": "The exchange answers",
 "controls": [],
 "method": [
  {"type": "probe", "name": "it answers", "tolerance": 200,
   "provider": {"type": "http", "url": "http://127.0.0.1:8081/health"}},
  {"type": "action", "name": "stop it", "provider": {"type": "process", "path": "kubectl"}}
 ]
}"""


def test_import_takes_an_experiment_of_chaos_toolkit_and_lists_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    settings.ALLOWED_COMMANDS = ("kubectl",)
    (tmp_path / "experiment.json").write_text(EXPERIMENT)
    call_command("scenario", "validate", str(tmp_path))
    assert "experiment.json: valid" in capsys.readouterr().out
    call_command("scenario", "import", str(tmp_path))
    stored = Scenario.objects.get()
    assert stored.name == "the-exchange-answers"
    assert stored.document.startswith("apiVersion: coordinator/v1")
    output = capsys.readouterr().out
    assert "experiment.json:3:2: 'controls' of the experiment is not carried over" in output


def test_import_refuses_an_experiment_that_does_what_the_site_does_not_allow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiment.json").write_text(EXPERIMENT)
    with pytest.raises(SystemExit) as exit_:
        call_command("scenario", "import", str(tmp_path))
    assert exit_.value.code == 2
    output = capsys.readouterr().out
    assert "spec.phases[1].actions[0].do.command.run: 'kubectl' is not allowed on this site" in output
    assert not Scenario.objects.exists()
