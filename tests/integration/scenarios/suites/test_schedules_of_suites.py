"""Schedules that run suites, and the metric that counts their cells."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from scenarios.domain.errors import InvalidSchedule
from scenarios.domain.outcomes import DueOutcome
from scenarios.domain.suite_states import CellState, ShownState
from scenarios.models import Schedule, Suite, SuiteRun
from scenarios.planning import schedules
from scenarios.planning.due import start_due
from scenarios.suites.running import start_suite
from scenarios.supervision.gauges import read_gauges
from tests.integration.scenarios.planned_rows import minute
from tests.integration.scenarios.suites.matrix_rows import prove
from tests.integration.scenarios.suites.suite_rows import (
    REFUSED,
    SLOW,
    TWO_CELLS,
    register_services,
    save_catalogue,
    store_suite,
)

pytestmark = pytest.mark.django_db
EVERY_MINUTE = "* * * * *"


@pytest.fixture
def suite() -> Suite:
    register_services()
    save_catalogue(SLOW, REFUSED)
    return store_suite(TWO_CELLS)


def make_due_schedule() -> Schedule:
    ada = User.objects.create_superuser("ada")
    schedule = Schedule(name="nightly", suite_name="shop", cron=EVERY_MINUTE)
    schedules.save_schedule(schedule, by=ada)
    Schedule.objects.update(next_at=minute())
    return Schedule.objects.get()


def test_a_schedule_runs_a_suite_in_the_name_of_its_author(suite: Suite) -> None:
    schedule = make_due_schedule()
    start_due(minute())
    suite_run = SuiteRun.objects.get()
    assert (suite_run.schedule, suite_run.started_from) == (schedule, "schedule")
    assert suite_run.started_by == schedule.changed_by
    noted = schedule.times.get()
    assert (noted.outcome, suite_run.short_id in noted.reason) == (DueOutcome.STARTED, True)


def test_a_schedule_skips_its_time_while_the_suite_runs_or_is_not_stored(suite: Suite) -> None:
    schedule = make_due_schedule()
    going_on = start_suite(suite, origin="cli")
    start_due(minute())
    assert going_on.short_id in schedule.times.get().reason
    SuiteRun.objects.all().delete()
    suite.delete()
    later = minute() + timedelta(minutes=2)
    start_due(later)
    assert schedule.times.first().reason == "there is no suite 'shop'"  # type: ignore[union-attr]
    assert not SuiteRun.objects.exists()


def test_a_schedule_runs_either_a_scenario_or_a_suite(suite: Suite) -> None:
    both = Schedule(name="both", suite_name="shop", scenario_name=SLOW, cron=EVERY_MINUTE)
    with pytest.raises(InvalidSchedule, match="either a scenario or a suite"):
        schedules.save_schedule(both, by=None)
    with pytest.raises(InvalidSchedule, match="there is no suite 'shopp'"):
        schedules.save_schedule(Schedule(name="other", suite_name="shopp", cron=EVERY_MINUTE), by=None)
    with pytest.raises(InvalidSchedule):
        schedules.save_schedule(Schedule(name="none", cron=EVERY_MINUTE), by=None)


def test_the_form_offers_suites_beside_scenarios(suite: Suite, admin_client: Client) -> None:
    place = reverse("admin:scenarios_schedule_add")
    fields = {"name": "nightly", "cron": EVERY_MINUTE, "time_zone": "UTC", "grace_minutes": "15"}
    made = admin_client.post(place, {**fields, "scenario_name": "suite:shop"})
    assert made.status_code == 302, made.content.decode()
    schedule = Schedule.objects.get()
    assert (schedule.suite_name, schedule.scenario_name) == ("shop", "")
    page = reverse("admin:scenarios_schedule_change", args=[schedule.pk])
    assert '<option value="suite:shop" selected>' in admin_client.get(page).content.decode()
    assert "suite shop" in admin_client.get(reverse("admin:scenarios_schedule_changelist")).content.decode()
    admin_client.post(page, {**fields, "scenario_name": SLOW})
    schedule.refresh_from_db()
    assert (schedule.suite_name, schedule.scenario_name) == ("", SLOW)


def test_the_api_takes_a_suite_instead_of_a_scenario(suite: Suite, admin_client: Client) -> None:
    place, kind = "/api/v1/schedules/nightly", "application/json"
    made = admin_client.put(place, {"suite": "shop", "cron": EVERY_MINUTE}, content_type=kind)
    assert (made.status_code, made.json()["suite"], made.json()["obstacle"]) == (201, "shop", "")
    wrong = admin_client.put(place, {"suite": "shopp", "cron": EVERY_MINUTE}, content_type=kind)
    assert wrong.json()["errors"][0]["path"] == "body.suite"


def test_a_patch_keeps_the_suite_of_a_schedule_or_replaces_it_by_a_scenario(
    suite: Suite, admin_client: Client
) -> None:
    make_due_schedule()
    place, kind = "/api/v1/schedules/nightly", "application/merge-patch+json"
    changed = admin_client.patch(place, {"cron": "0 3 * * *"}, content_type=kind)
    assert (changed.status_code, changed.json()["suite"]) == (200, "shop"), changed.content
    both = admin_client.patch(place, {"scenario": SLOW}, content_type=kind)
    assert [error["path"] for error in both.json()["errors"]] == ["body.suite"]
    replaced = admin_client.patch(place, {"suite": None, "scenario": SLOW}, content_type=kind)
    assert (replaced.status_code, replaced.json()["suite"], replaced.json()["scenario"]) == (200, "", SLOW)


def test_the_metric_has_each_state_of_each_suite_in_one_query(suite: Suite) -> None:
    prove(suite, "slow", CellState.SURVIVED)
    store_suite(TWO_CELLS.replace("name: shop,", "name: shop-2,"))
    with CaptureQueriesContext(connection) as queries:
        samples = [sample for sample in read_gauges() if sample.name == "scenario_suite_cells"]
    assert len([query for query in queries if "suitecell" in query["sql"]]) == 1
    shown = {(sample.labels["suite"], sample.labels["state"]): sample.value for sample in samples}
    assert len(shown) == 2 * len(ShownState)
    assert (shown["shop", "survived"], shown["shop", "never_tried"], shown["shop", "failed"]) == (1, 1, 0)
    assert shown["shop-2", "never_tried"] == 2
