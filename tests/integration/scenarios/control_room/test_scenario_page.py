"""The scenario page: drafts are judged, plans drawn, versions kept, runs tried out without running."""

import html
import socket
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from scenarios.drivers import documents
from scenarios.language.document import build_plan
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services as registered_services
from scenarios.models import Run, Scenario

pytestmark = pytest.mark.django_db

DOCUMENT = (Path(__file__).parents[4] / "scenarios" / "catalogue" / "exchange-latency.yaml").read_text()
CHANGED = DOCUMENT.replace("default: 500", "default: 750")
DRAFT = "admin:scenarios_scenario_draft"


@pytest.fixture
def scenario(admin_user: User) -> Scenario:
    return stored_scenarios.save_scenario(documents.read_document(DOCUMENT), by=admin_user)


def test_a_draft_with_a_mistake_is_answered_with_its_line_and_stored_nowhere(admin_client: Client) -> None:
    wrong = DOCUMENT.replace("method: POST", "metod: POST", 1)
    answer = admin_client.post(reverse(DRAFT), wrong, content_type="application/yaml").json()
    (problem,) = answer["problems"]
    assert problem["line"] == 1 + wrong[: wrong.index("metod")].count("\n")
    assert "did you mean 'method'?" in problem["message"] + problem["hint"]
    assert not Scenario.objects.exists()


def test_a_valid_draft_is_answered_with_its_plan_as_a_picture(admin_client: Client) -> None:
    registered_services.register_service("exchange", "http://127.0.0.1:1")
    registered_services.register_service("risk-monitor", "http://127.0.0.1:2")
    answer = admin_client.post(reverse(DRAFT), DOCUMENT, content_type="application/yaml").json()
    assert answer["problems"] == []
    assert answer["plan"].startswith("<svg")
    assert "3 phases, 1 fault, 6 validations, 1 guard" in answer["plan"]


def test_names_from_documents_are_escaped_in_the_picture(admin_client: Client) -> None:
    sly = DOCUMENT.replace("slow the exchange down", '"<script>alert(1)</script>"')
    answer = admin_client.post(reverse(DRAFT), sly, content_type="application/yaml").json()
    assert "&lt;script&gt;" in answer["plan"]
    assert "<script" not in answer["plan"]


@pytest.mark.parametrize("page", ["draft", "schema"])
def test_someone_who_may_not_view_scenarios_is_refused(client: Client, page: str) -> None:
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert client.post(reverse(f"admin:scenarios_scenario_{page}")).status_code == 403


def test_each_change_is_a_version_with_its_author_and_what_it_changed(
    admin_client: Client, scenario: Scenario
) -> None:
    stored_scenarios.save_scenario(documents.read_document(CHANGED), by=None)
    stored_scenarios.save_scenario(documents.read_document(CHANGED), by=None)  # no change, no version
    answer = admin_client.get(reverse("admin:scenarios_scenario_history", args=[scenario.pk]))
    newest, first = answer.context["versions"]
    assert (newest.number, newest.by, newest.added, newest.removed) == (2, "", 1, 1)
    assert (first.number, first.by, first.removed) == (1, "admin", 0)


def test_a_version_is_restored_as_a_new_one(admin_client: Client, scenario: Scenario) -> None:
    first = scenario.history.get().history_id
    stored_scenarios.save_scenario(documents.read_document(CHANGED))
    address = reverse("admin:scenarios_scenario_restore", args=[scenario.pk, first])
    assert admin_client.get(address).status_code == 403
    admin_client.post(address)
    scenario.refresh_from_db()
    assert scenario.document == DOCUMENT
    assert scenario.history.count() == 3
    assert (
        admin_client.post(reverse("admin:scenarios_scenario_restore", args=[scenario.pk, 0])).status_code
        == 404
    )


def test_a_dry_run_shows_every_step_with_its_variables_and_starts_nothing(
    admin_client: Client, scenario: Scenario
) -> None:
    address = reverse("admin:scenarios_scenario_run", args=[scenario.pk])
    answer = admin_client.post(address, {"delay_ms": "900", "hold": "4s", "dry_run": "yes"})
    assert "delay_ms: 900" in answer.content.decode()
    assert [step.role for step in answer.context["steps"]].count("undo") == 1
    assert not Run.objects.exists()
    answer = admin_client.post(address, {"delay_ms": "9", "hold": "4s", "dry_run": "yes"})
    assert "at least" in str(answer.context["form"].errors["delay_ms"])
    assert not Run.objects.exists()


def test_the_form_of_a_run_tells_the_browser_the_limits(admin_client: Client, scenario: Scenario) -> None:
    page = admin_client.get(reverse("admin:scenarios_scenario_change", args=[scenario.pk])).content.decode()
    assert 'type="number" name="delay_ms" value="500" min="250" max="5000" step="1"' in page
    assert "<dialog" in page


def test_the_schema_of_the_editor_offers_the_registered_services(admin_client: Client) -> None:
    registered_services.register_service("exchange", "http://127.0.0.1:1")
    address = reverse("admin:scenarios_scenario_schema")
    offered = [
        declaration["properties"]["service"]["examples"]
        for declaration in admin_client.get(address).json()["$defs"].values()
        if "service" in declaration.get("properties", {})
    ]
    assert offered
    assert all(names == ["exchange"] for names in offered)
    registered_services.register_service("another", "http://127.0.0.1:2")
    assert b"another" in admin_client.get(address).content


def test_new_scenario_starts_as_a_working_example(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:scenarios_scenario_add"))
    begun = page.context["adminform"].form["document"].value()
    plan = build_plan(documents.read_document(begun), {})
    assert [phase.name for phase in plan.phases] == ["baseline", "chaos", "recovery"]


def test_a_copy_is_begun_with_the_document_of_the_other(admin_client: Client, scenario: Scenario) -> None:
    page = admin_client.get(reverse("admin:scenarios_scenario_add"), {"copy_of": scenario.pk})
    assert page.context["adminform"].form["document"].value() == scenario.document
    answer = admin_client.post(reverse("admin:scenarios_scenario_add"), {"document": scenario.document})
    assert "Choose another metadata.name" in answer.content.decode()
    assert Scenario.objects.count() == 1


@pytest.mark.parametrize("key", ["0", "x", "999"])
def test_a_copy_of_nothing_is_a_new_scenario(admin_client: Client, key: str) -> None:
    page = admin_client.get(reverse("admin:scenarios_scenario_add"), {"copy_of": key})
    assert "my-scenario" in page.context["adminform"].form["document"].value()


def test_the_run_dialog_and_a_dry_run_say_what_a_run_would_meet(admin_client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    registered_services.register_service("exchange", f"http://127.0.0.1:{port}")
    scenario = stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    address = reverse("admin:scenarios_scenario_run", args=[scenario.pk])
    page = html.unescape(admin_client.get(address).text)
    assert "a run would end as errored: unknown service 'risk-monitor'" in page
    dry = html.unescape(admin_client.post(address, {"delay_ms": 900, "hold": "4s", "dry_run": "yes"}).text)
    assert f"Right now, exchange at http://127.0.0.1:{port} refused the connection" in dry


def read_seen(page: Any) -> str:
    return str(page.context["adminform"].form["seen"].value())


def test_a_change_that_somebody_else_made_meanwhile_is_not_overwritten(
    admin_client: Client, scenario: Scenario
) -> None:
    address = reverse("admin:scenarios_scenario_change", args=[scenario.pk])
    seen = read_seen(admin_client.get(address))
    stored_scenarios.save_scenario(documents.read_document(CHANGED))
    mine = DOCUMENT.replace("title:", "title: Mine,", 1)
    refused = admin_client.post(address, {"document": mine, "seen": seen})
    assert refused.status_code == 200
    assert "Somebody else has changed this scenario" in refused.content.decode()
    assert 'class="line removed"' in refused.content.decode()
    assert refused.context["adminform"].form["document"].value() == mine
    scenario.refresh_from_db()
    assert scenario.document == CHANGED
    assert admin_client.post(address, {"document": mine, "seen": read_seen(refused)}).status_code == 302
    scenario.refresh_from_db()
    assert scenario.document == mine


def test_two_people_who_save_the_same_document_are_not_in_conflict(
    admin_client: Client, scenario: Scenario
) -> None:
    address = reverse("admin:scenarios_scenario_change", args=[scenario.pk])
    seen = read_seen(admin_client.get(address))
    stored_scenarios.save_scenario(documents.read_document(CHANGED))
    assert admin_client.post(address, {"document": CHANGED, "seen": seen}).status_code == 302
