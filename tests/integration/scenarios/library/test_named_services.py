"""Which services a scenario names is kept beside it, whichever way it is written."""

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from scenarios.control_room import home_queries
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services as registered_services
from scenarios.library.sync import remove_scenario, sync_scenarios
from scenarios.models import NamedService, Scenario, Service
from tests.integration.scenarios.api.conftest import program
from tests.integration.scenarios.story_rows import DOCUMENT

pytestmark = pytest.mark.django_db

OTHER = DOCUMENT.replace("risk-monitor", "audit")
VARIABLE = """\
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: any-service, title: Any service}
spec:
  variables:
    target: {type: string%s}
  phases:
    - name: baseline
      validations:
        - name: it answers
          probe: {http: {service: "${target}", path: /health}}
          expect: {status: 200}
        - name: so does the bank
          probe: {http: {service: bank, path: /health}}
          expect: {status: 200}
"""


def save(source: str) -> Scenario:
    return stored_scenarios.save_scenario(documents.read_document(source))


def named(scenario: Scenario) -> set[str]:
    return set(scenario.named_services.values_list("service", flat=True))


def test_every_way_of_saving_updates_named_services(admin_client: Client, admin_user: User) -> None:
    scenario = save(DOCUMENT)
    assert named(scenario) == {"exchange", "risk-monitor"}
    save(OTHER)
    assert named(scenario) == {"exchange", "audit"}
    first = scenario.history.order_by("history_id").first()
    assert first is not None
    restore = reverse("admin:scenarios_scenario_restore", args=[scenario.pk, first.history_id])
    assert admin_client.post(restore).status_code == 302
    assert named(scenario) == {"exchange", "risk-monitor"}
    page = reverse("admin:scenarios_scenario_change", args=[scenario.pk])
    assert admin_client.post(page, {"document": OTHER}).status_code == 302
    assert named(scenario) == {"exchange", "audit"}
    ci = program(admin_user)
    assert ci.ask("PUT", f"scenarios/{scenario.name}", DOCUMENT).status_code == 200
    assert named(scenario) == {"exchange", "risk-monitor"}
    assert ci.post("import", {"documents": [OTHER]}).status_code == 200
    assert named(scenario) == {"exchange", "audit"}
    sync_scenarios([documents.read_document(DOCUMENT)], prune=True)
    assert named(scenario) == {"exchange", "risk-monitor"}


def test_deleted_scenario_names_no_services() -> None:
    scenario = save(DOCUMENT)
    remove_scenario(scenario.name)
    assert not NamedService.objects.exists()
    assert named(save(DOCUMENT)) == {"exchange", "risk-monitor"}


def test_command_line_updates_named_services(tmp_path: pytest.TempPathFactory) -> None:
    file = tmp_path / "scenario.yaml"  # type: ignore[operator]
    file.write_text(OTHER)
    call_command("scenario", "import", str(file))
    assert named(Scenario.objects.get()) == {"exchange", "audit"}


def test_defaults_or_literal_names_are_used_for_variables() -> None:
    assert named(save(VARIABLE % ", default: shop")) == {"shop", "bank"}
    assert named(save(VARIABLE % "")) == {"bank"}


def test_migration_fills_named_services() -> None:
    scenario, invalid = (
        save(VARIABLE % ", default: shop"),
        Scenario.objects.create(name="of-another-time", document="kind: Other\nx: {service: 'old-shop'}"),
    )
    NamedService.objects.all().delete()
    migration = import_module("scenarios.migrations.0016_services_of_stored_scenarios")
    migration.note_services(apps, None)
    assert (named(scenario), named(invalid)) == ({"shop", "bank"}, {"old-shop"})


@pytest.fixture
def used_everywhere() -> None:
    """A service that 2,000 scenarios name, and fifty that none does."""
    save(DOCUMENT)
    for number in range(50):
        registered_services.register_service(f"quiet-{number:02}", "http://127.0.0.1:1")
    registered_services.register_service("exchange", "http://127.0.0.1:1")
    rows = Scenario.objects.bulk_create(
        Scenario(name=f"scenario-{number:04}", document=DOCUMENT) for number in range(2_000)
    )
    NamedService.objects.bulk_create(
        NamedService(scenario=row, scenario_name=row.name, service="exchange") for row in rows
    )


@pytest.mark.usefixtures("used_everywhere")
def test_service_list_reads_no_documents(admin_client: Client, admin_user: User) -> None:
    ci = program(admin_user)
    for ask in (
        lambda: admin_client.get(reverse("admin:scenarios_service_changelist")),
        lambda: ci.get("services"),
        lambda: ci.get("services/exchange"),
    ):
        with CaptureQueriesContext(connection) as queries:
            assert ask().status_code == 200
        asked = [query["sql"] for query in queries]
        assert len(asked) <= 15, asked
        assert not [sql for sql in asked if '"document"' in sql]


@pytest.mark.usefixtures("used_everywhere")
def test_service_page_shows_the_first_scenarios_with_a_link_to_the_rest(
    admin_client: Client, admin_user: User
) -> None:
    listed = admin_client.get(reverse("admin:scenarios_service_changelist")).content.decode()
    assert (
        '<a href="/admin/scenarios/scenario/?service=exchange&amp;use=touched">2001 scenarios</a>' in listed
    )
    assert ">scenario-0" not in listed
    rest = admin_client.get("/admin/scenarios/scenario/?service=exchange").content.decode()
    assert "2001 scenarios" in rest
    assert "0 scenarios" in admin_client.get("/admin/scenarios/scenario/?service=quiet-01").content.decode()
    service = Service.objects.get(name="exchange")
    page = reverse("admin:scenarios_service_change", args=[service.pk])
    shown = admin_client.get(page).content.decode()
    assert shown.count(">scenario-0") == 99
    probed = admin_client.get("/admin/scenarios/scenario/?service=exchange&use=probed").content.decode()
    assert "0 scenarios" in probed
    assert "> and 1901 more</a>" in shown
    assert len(program(admin_user).get("services/exchange").json()["touched_by"]) == 2_001


def test_scenarios_of_a_service_are_found_by_an_index() -> None:
    rows = NamedService.objects.filter(service__in=["exchange", "bank"])
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")  # the table is nearly empty
    plan = rows.explain()
    assert "(service=?)" in plan or "named_service_once" in plan, plan


def test_few_scenarios_are_named_for_each_service() -> None:
    save(DOCUMENT)
    save(OTHER.replace("exchange-latency", "a-first-one"))
    found = home_queries.find_uses(["exchange", "audit", "none"])
    touching = {service: uses.touching.scenarios for service, uses in found.items()}
    probing = {service: uses.probing.scenarios for service, uses in found.items()}
    named = {service: [*touching[service], *probing[service]] for service in found}
    assert {service: [name for _key, name in names] for service, names in named.items()} == {
        "exchange": ["a-first-one", "exchange-latency"],
        "audit": ["a-first-one"],
    }
