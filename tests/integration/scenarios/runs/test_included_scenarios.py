"""Runs keep the scenarios that their document includes, as they were stored when the runs were started."""

import pytest
from django.test import Client
from django.urls import reverse

from scenarios.domain.outcomes import Outcome
from scenarios.models import Event, Run, Scenario
from scenarios.planning import approvals
from scenarios.reports.data import build_content
from scenarios.reports.facts import collect_facts
from scenarios.runs import commands as run_commands
from tests.integration.scenarios.planned_rows import scheduled, stored
from tests.integration.scenarios.reaching import carried_out

pytestmark = pytest.mark.django_db(transaction=True)

HEAD = "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {{name: {name}}}\nspec:\n  phases:\n"
OUTER = HEAD.format(name="outer") + "    - include: {scenario: inner}\n"


def store_inner(action: str) -> None:
    source = HEAD.format(name="inner")
    source += f"    - {{name: p, actions: [{{name: {action}, do: {{wait: {{duration: 10ms}}}}}}]}}\n"
    Scenario.objects.update_or_create(name="inner", defaults={"document": source, "title": "inner"})


def start() -> Run:
    return run_commands.start_run(OUTER, {}, origin="cli")


def test_a_run_carries_out_what_was_stored_when_it_was_started() -> None:
    store_inner("old")
    first = start()
    store_inner("new")
    second = start()
    Scenario.objects.all().delete()
    for run, action in ((first, "old"), (second, "new")):
        ended = carried_out(run)
        assert ended.outcome == Outcome.PASSED, ended.reason
        assert set(Event.objects.filter(run=run).exclude(subject="").values_list("phase", "subject")) == {
            ("inner: p", action)
        }
        assert action in str(ended.included)


def test_a_schedules_approval_does_not_cover_an_edited_included_scenario() -> None:
    store_inner("old")
    stored(OUTER)
    schedule = scheduled(None, scenario_name="outer", variables={})
    before = approvals.compute_fingerprint(schedule)
    assert before == approvals.compute_fingerprint(schedule) != ""
    store_inner("new")
    assert approvals.compute_fingerprint(schedule) not in {"", before}


def test_the_report_has_the_included_documents() -> None:
    store_inner("old")
    content = build_content(collect_facts(carried_out(start())))
    assert "name: old" in content["included"]["inner"]


def test_the_run_page_shows_each_included_document_with_its_version_and_a_link(admin_client: Client) -> None:
    store_inner("old")
    run = start()
    address = reverse("admin:scenarios_run_change", args=[run.pk])
    inner = Scenario.objects.get(name="inner")
    link = reverse("admin:scenarios_scenario_change", args=[inner.pk])
    for version in ("version 1, the current one", "version 1<"):
        content = admin_client.get(address).content.decode()
        for words in (f'Included: inner <span class="quiet">{version}', link, "name: old"):
            assert words in content
        store_inner("new")
    Scenario.objects.all().delete()
    content = admin_client.get(address).content.decode()
    assert "no longer stored" in content
    assert "name: old" in content
