"""Environments in the Run dialog and on the page of an approval."""

import html

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from scenarios.admin.drawn_plans import ABOUT_REGISTERED
from scenarios.drivers import documents
from scenarios.library import environments
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services as registered_services
from scenarios.models import Approval, Environment, Run, Scenario
from scenarios.planning import approvals
from tests.integration.scenarios.planned_rows import scheduled, someone
from tests.integration.scenarios.reaching import action, document

pytestmark = pytest.mark.django_db

SOURCE = document(actions=[action({"http": {"service": "shop", "method": "POST", "path": "/fault"}})])


@pytest.fixture
def scenario(admin_user: User) -> Scenario:
    registered_services.register_service("shop", "http://127.0.0.1:1", is_protected=True)
    return stored_scenarios.save_scenario(documents.read_document(SOURCE), by=admin_user)


def put(name: str, url: str, *, protected: bool = False) -> Environment:
    fields = {"services": {"shop": {"base_url": url, "protected": protected}}}
    return environments.put_environment(name, fields, by=None)


def read(client: Client, address: str, **posted: str) -> str:
    answer = client.post(address, posted) if posted else client.get(address)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_notes_of_the_run_dialog_are_those_of_the_chosen_environment(
    admin_client: Client, scenario: Scenario
) -> None:
    page = reverse("admin:scenarios_scenario_run", args=[scenario.pk])
    assert "'shop' is protected" in read(admin_client, page)
    assert ABOUT_REGISTERED not in read(admin_client, page)
    put("staging", "http://127.0.0.1:2")
    put("production", "http://127.0.0.1:3", protected=True)
    for place in (page, reverse("admin:scenarios_scenario_change", args=[scenario.pk])):
        content = read(admin_client, place)
        assert content.index("'shop' is protected") < content.index(ABOUT_REGISTERED)
    staging = read(admin_client, page, **{"environment:": "staging", "dry_run": "yes"})
    assert ("is protected" in staging, ABOUT_REGISTERED in staging) == (False, False)
    production = read(admin_client, page, **{"environment:": "production", "dry_run": "yes"})
    assert "'shop@production' is protected" in production


def test_an_environment_that_is_gone_is_refused_at_its_field(
    admin_client: Client, scenario: Scenario
) -> None:
    put("staging", "http://127.0.0.1:2")
    page = reverse("admin:scenarios_scenario_run", args=[scenario.pk])
    assert "Select a valid choice" in read(admin_client, page, **{"environment:": "stagin"})
    assert not Run.objects.exists()


def test_the_page_of_an_approval_names_the_environment_or_says_that_it_is_gone(
    admin_client: Client, scenario: Scenario
) -> None:
    place = put("production", "http://127.0.0.1:3", protected=True)
    schedule = scheduled(
        someone("ann", "run_scenario"), scenario_name=scenario.name, environment="production"
    )
    approval = Approval.objects.get(schedule=schedule)
    page = reverse("admin:scenarios_approval_change", args=[approval.pk])
    assert "<dt>Environment</dt><dd>production</dd>" in read(admin_client, page)
    assert approvals.find_plan(approval) is not None
    environments.delete_environment(place)
    assert "This cannot run as it is now: unknown environment 'production'" in read(admin_client, page)
