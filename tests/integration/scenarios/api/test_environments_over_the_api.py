"""Environments over the API, on the command line and in the admin."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from scenarios.library import services as registered_services
from scenarios.models import Environment, Run
from tests.command_line import CommandLine
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem
from tests.integration.scenarios.reaching import document, probe

pytestmark = pytest.mark.django_db
PLACE = "environments/staging"
BODY = {
    "services": {"shop": {"base_url": "http://shop.staging.test", "proxy": "http://127.0.0.1:8474"}},
    "variables": {"limit": "2s"},
}
WRITE = ("scenarios.add_environment", "scenarios.change_environment", "scenarios.delete_environment")
READS = document(validations=[probe({"http": {"service": "shop"}})])


@pytest.fixture(autouse=True)
def shop(db: None) -> None:
    registered_services.register_service("shop", "http://shop.test")


def test_environment_is_stored_changed_listed_and_deleted(ci: Program) -> None:
    stored = ci.ask("PUT", PLACE, BODY)
    assert (stored.status_code, stored.json()) == (
        201,
        {"name": "staging", "description": "", "protected": False, **BODY},
    )
    assert ci.get(PLACE).json() == ci.get("environments").json()["items"][0] == stored.json()
    patched = ci.ask("PATCH", PLACE, {"variables": {"limit": None}, "description": "a copy"}).json()
    assert (patched["variables"], patched["description"], patched["services"]) == (
        {},
        "a copy",
        BODY["services"],
    )
    assert ci.ask("DELETE", PLACE).status_code == 204
    read_problem(ci.get(PLACE), 404)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"services": {"shp": {"base_url": "http://a"}}}, "Unknown service 'shp'; did you mean 'shop'?"),
        ({"services": {"shop": {"base_url": "a"}}}, "shop.base_url"),
        ({"variables": {"a": {"b": 1}}}, "'a' is not text"),
        ({"services": {"shop": {"base_url": "http://a\0"}}}, "shop.base_url"),
    ],
)
def test_invalid_value_is_reported_at_its_place(ci: Program, body: Any, message: str) -> None:
    found = read_problem(ci.ask("PUT", PLACE, body), 422)
    assert message in found["errors"][0]["message"]
    assert not Environment.objects.exists()


def test_protecting_a_service_there_needs_the_permission() -> None:
    caller = program(person(*WRITE))
    protected = {"services": {"shop": {"base_url": "http://shop.test", "protected": True}}}
    read_problem(caller.ask("PUT", PLACE, protected), 403)
    assert caller.ask("PUT", PLACE, BODY).status_code == 201
    Environment.objects.get().delete()
    assert not Environment.objects.exists()


def test_a_run_over_the_api_names_its_environment(ci: Program) -> None:
    ci.ask("PUT", PLACE, BODY)
    started = ci.post("runs", {"document": READS, "environment": "staging"})
    assert (started.status_code, started.json()["environment"]) == (201, "staging")
    found = read_problem(ci.post("runs", {"document": READS, "environment": "stagin"}), 422)
    assert found["errors"][0]["path"] == "body.environment"
    assert "did you mean 'staging'?" in found["errors"][0]["message"]
    planned = ci.post("plan", {"document": READS, "environment": "staging"})
    assert planned.status_code == 200, planned.content


def test_the_command_line_stores_shows_and_uses_environments(scenario: CommandLine, tmp_path: Any) -> None:
    added = scenario(
        *("environment", "add", "staging", "--service", "shop=http://shop.staging.test"),
        *("--proxy", "shop=http://127.0.0.1:8474", "--protect", "shop", "--var", "limit=2s"),
    )
    assert (added.code, added.out) == (0, "Environment staging is stored, with shop.\n"), added.err
    words = "{tls: {verify: false}, proxy: http://127.0.0.1:1, proxy_secret: FAULT_PROXY_STAGING}"
    worded = ("environment", "add", "worded", "--service", "shop=http://a.test", "--words", f"shop={words}")
    (shop,) = scenario(*worded, "--json").json["services"].values()
    assert (shop["tls"], shop["proxy_secret"]) == ({"verify": False}, "FAULT_PROXY_STAGING")
    assert "has no '--service shop=URL'" in scenario("environment", "add", "b", *worded[-2:]).err
    again = scenario("environment", "add", "staging", "--service", "shop=http://other.test")
    assert (again.code, "Add '--replace' to change it." in again.err) == (2, True)
    changed = scenario("environment", "add", "staging", "--replace", "--var", "rate=2")
    assert changed.out == "Environment staging is changed: variable rate added.\n", changed.err
    changed = scenario(
        "environment", "add", "staging", "--replace", "--var", "rate=3", "--unset-var", "limit"
    )
    both = "variable limit removed, variable rate from 2 to 3"
    assert changed.out == f"Environment staging is changed: {both}.\n", changed.err
    shown = scenario("environment", "show", "staging").out
    assert (
        "shop: http://shop.staging.test, protected, behind the fault proxy at http://127.0.0.1:8474" in shown
    )
    assert "staging" in scenario("environment", "list").out
    file = tmp_path / "reads.json"
    file.write_text(READS)
    started = scenario("run", str(file), "--environment", "staging", "--detach")
    assert (started.code, Run.objects.get().environment) == (0, "staging"), started.err
    refused = scenario("run", str(file), "--environment", "stagin", "--detach")
    missing = "There is no environment 'stagin'; did you mean 'staging'?"
    assert (refused.code, missing in refused.err) == (7, True), refused.err
    assert scenario("environment", "remove", "staging").code == 0


def test_the_run_dialog_and_the_form_of_an_environment(client: Client, admin_user: User) -> None:
    client.force_login(admin_user)
    form = {"name": "staging", "services": '{"shop": {"base_url": "http://shop.staging.test"}}'}
    place = reverse("admin:scenarios_environment_add")
    refused = client.post(place, {**form, "services": '{"shp": {"base_url": "http://a"}}', "variables": "{}"})
    assert "Unknown service &#x27;shp&#x27;" in refused.content.decode()
    assert client.post(place, {**form, "variables": "{}"}).status_code == 302
    assert "shop" in client.get(reverse("admin:scenarios_environment_changelist")).content.decode()
    row = Environment.objects.get()
    assert client.get(reverse("admin:scenarios_environment_change", args=[row.pk])).status_code == 200
    from scenarios.drivers import documents  # noqa: PLC0415
    from scenarios.library import scenarios as stored  # noqa: PLC0415

    saved = stored.save_scenario(documents.read_document(READS), by=admin_user)
    dialog = reverse("admin:scenarios_scenario_run", args=[saved.pk])
    assert "none: services as they are registered" in client.get(dialog).content.decode()
    assert client.post(dialog, {"environment:": "staging"}).status_code == 302
    run = Run.objects.get()
    assert run.environment == "staging"
    assert (
        "<dt>Environment</dt>"
        in client.get(reverse("admin:scenarios_run_change", args=[run.pk])).content.decode()
    )
