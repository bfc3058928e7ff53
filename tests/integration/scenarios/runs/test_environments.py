"""Runs in environments: where they go, what they hold, and who must approve them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils import timezone

from scenarios.domain.errors import InvalidSchedule, InvalidVariables, ServiceHeld, UnknownEnvironment
from scenarios.domain.outcomes import FaultState, Outcome, RunState
from scenarios.drivers import documents
from scenarios.library import environments
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services as registered_services
from scenarios.library.preflight import check_preflight
from scenarios.models import Approval, Environment, Fault, Hold, Run, Schedule, Service
from scenarios.planning import approvals, due, schedules
from scenarios.reports import render_report
from scenarios.runs import commands as run_commands
from scenarios.runs import executor, recovery
from scenarios.runs.environments import plan_in
from tests.integration.scenarios.planned_rows import someone
from tests.integration.scenarios.reaching import (
    action,
    approved,
    carried_out,
    document,
    in_the_database,
    probe,
)
from tests.servers.recording import Recorder, recording

pytestmark = pytest.mark.django_db(transaction=True)

STEP = {"http": {"service": "shop", "method": "POST", "path": "/fault"}}
UNDO = {"http": {"service": "shop", "method": "DELETE", "path": "/fault"}}
BREAKS = document(actions=[action(STEP, UNDO)])
LIMITED = json.dumps(
    {
        "apiVersion": "coordinator/v1",
        "kind": "Scenario",
        "metadata": {"name": "limited"},
        "spec": {
            "variables": {"path": {"type": "string"}, "times": {"type": "integer", "default": 1}},
            "phases": [
                {
                    "name": "p",
                    "validations": [probe({"http": {"service": "shop", "path": "${path}"}})],
                }
            ],
        },
    }
)


@pytest.fixture
def production() -> Iterator[Recorder]:
    """What is registered as the service `shop`, and in the environment `production`, which protects it."""
    with recording() as server:
        registered_services.register_service("shop", server.url)
        put("production", server.url, protected=True)
        yield server


@pytest.fixture
def staging(production: Recorder) -> Iterator[Recorder]:
    with recording() as server:
        put("staging", server.url, variables={"path": "/of-staging", "unknown": "elsewhere"})
        yield server


def put(name: str, url: str, *, variables: Any = None, **words: Any) -> Environment:
    fields = {"services": {"shop": {"base_url": url, **words}}, "variables": variables or {}}
    return environments.put_environment(name, fields, by=None)


def start(source: str, environment: str = "", by: User | None = None, **variables: Any) -> Run:
    return run_commands.start_run(source, variables, origin="cli", by=by, environment=environment)


def test_a_run_goes_where_its_environment_says_and_nowhere_else(
    production: Recorder, staging: Recorder
) -> None:
    ended = carried_out(start(BREAKS, "staging"))
    assert (ended.outcome, ended.environment) == (Outcome.PASSED, "staging"), ended.reason
    assert staging.asked == ["POST /fault", "DELETE /fault"]
    assert production.asked == []
    assert ended.addresses == {"shop@staging": staging.url}
    assert "staging" in render_report(ended, "md").decode()
    assert json.loads(render_report(ended, "json"))["environment"] == "staging"


def test_values_of_the_environment_come_after_those_of_the_run(staging: Recorder) -> None:
    ended = carried_out(start(LIMITED, "staging"))
    assert ended.variables == {"path": "/of-staging"}
    carried_out(start(LIMITED, "staging", path="/given"))
    assert staging.asked == ["GET /of-staging", "GET /given"]


def test_an_unfit_value_of_the_environment_is_refused(staging: Recorder) -> None:
    put("staging", staging.url, variables={"path": "/a", "times": "often"})
    with pytest.raises(InvalidVariables, match="variable 'times' is 'often'"):
        start(LIMITED, "staging")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("stagin", "unknown environment 'stagin'; did you mean 'staging'?"),
        ("elsewhere", "unknown environment 'elsewhere'; choose one of production, staging"),
    ],
)
def test_an_unknown_environment_is_refused_with_a_hint(staging: Recorder, name: str, sentence: str) -> None:
    with pytest.raises(UnknownEnvironment) as refusal:
        start(BREAKS, name)
    assert str(refusal.value) == sentence
    assert not Run.objects.exists()


def test_a_service_that_the_environment_lacks_is_not_sought_elsewhere(staging: Recorder) -> None:
    """It could be the one of production."""
    registered_services.register_service("stock", staging.url)
    source = document(validations=[probe({"http": {"service": "stock"}})])
    with pytest.raises(UnknownEnvironment, match="'staging' has no service 'stock', only shop"):
        start(source, "staging")
    assert staging.asked == []


def test_runs_in_two_environments_hold_different_services(production: Recorder, staging: Recorder) -> None:
    put("production", production.url)  # nobody need approve it
    waiting, begun = start(BREAKS, "staging"), start(BREAKS)
    seen: list[set[str]] = []

    def look(_request: Any) -> None:
        seen.append(set(Hold.objects.values_list("service", flat=True)))

    staging.before_answer = production.before_answer = in_the_database(look)
    for run in (waiting, begun):
        assert carried_out(run).outcome == Outcome.PASSED
    assert seen[0] == {"shop@staging"}
    # Where the registered service is, there is that of the environment, too.
    assert seen[-1] == {"shop", "shop@production"}


def test_a_service_is_protected_in_its_environment_alone(production: Recorder, staging: Recorder) -> None:
    asked = start(BREAKS, "production", by=someone("ann"))
    assert asked.state == RunState.AWAITING_APPROVAL
    assert Approval.objects.get(run=asked).services == ["shop@production"]
    assert production.asked == []
    assert start(BREAKS, "staging").state == RunState.QUEUED
    assert approved(asked).outcome == Outcome.PASSED
    assert production.asked == ["POST /fault", "DELETE /fault"]


def test_protection_follows_the_address_however_a_step_reaches_it(
    production: Recorder, staging: Recorder
) -> None:
    by_url = document(actions=[action({"http": {"url": f"{production.url}/fault", "method": "POST"}})])
    assert start(by_url, "staging").state == RunState.AWAITING_APPROVAL
    staging.status, staging.redirect_to = 307, f"{production.url}/fault"
    step = {"http": {**STEP["http"], "follow_redirects": True}}
    ended = carried_out(start(document(actions=[action(step)]), "staging"))
    assert (ended.outcome, "is protected" in ended.reason) == (Outcome.ERRORED, True), ended.reason
    assert production.asked == []


def test_a_fault_is_undone_where_it_is_although_the_environment_has_changed(
    production: Recorder, staging: Recorder
) -> None:
    waiting = start(BREAKS, "staging")

    def move(request: Any) -> None:
        if request.method == "POST":
            Environment.objects.filter(name="staging").update(services={})
            Service.objects.filter(name="shop").update(base_url=production.url)

    staging.before_answer = in_the_database(move)
    executor.carry_out(str(waiting.id), waiting.attempt)
    assert staging.asked == ["POST /fault", "DELETE /fault"]
    assert production.asked == []
    assert Fault.objects.get().state == FaultState.UNDONE


def test_faults_of_a_dead_worker_are_undone_in_their_environment(
    production: Recorder, staging: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenarios.engine.injection.UNDO_DELAYS", ())
    waiting = start(BREAKS, "staging")
    staging.status = 500  # of the undo, so that the fault stays
    staging.before_answer = lambda request: setattr(
        staging, "status", 200 if request.method == "POST" else 500
    )
    ended = carried_out(waiting)
    assert ended.rollback == "dirty"
    staging.before_answer = lambda _request: setattr(staging, "status", 200)
    recovery.undo_now(ended)
    assert Fault.objects.get().state == FaultState.UNDONE
    assert set(staging.asked) == {"POST /fault", "DELETE /fault"}
    assert production.asked == []


def test_an_environment_that_a_run_holds_cannot_be_deleted(staging: Recorder) -> None:
    refusals: list[str] = []

    def delete(_request: Any) -> None:
        try:
            environments.delete_environment(Environment.objects.get(name="staging"))
        except ServiceHeld as error:
            refusals.append(str(error))

    staging.before_answer = in_the_database(delete)
    carried_out(start(BREAKS, "staging"))
    assert "Environment 'staging' cannot be deleted now, because 'shop@staging' is held by" in refusals[0]
    environments.delete_environment(Environment.objects.get(name="staging"))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"services": {"shp": {"base_url": "http://a"}}}, "Unknown service 'shp'; did you mean 'shop'"),
        ({"services": {"shop": {"base_url": "ftp://a"}}}, "shop.base_url: "),
        ({"services": {"shop": {}}}, "shop.base_url: required"),
        (
            {"services": {"shop": {"base_url": "http://a", "url": "x"}}},
            "shop.url: unknown field; choose one of ",
        ),
        ({"services": {"shop": {"base_url": "http://a", "auth": {"bearer": "x"}}}}, "must be a reference"),
        ({"services": []}, "must be a mapping"),
        ({"variables": {"a b": 1}}, "'a b' is not the name of a variable"),
        ({"variables": {"a": {}}}, "'a' is not text, a number"),
    ],
)
def test_invalid_environment_is_not_stored(production: Recorder, fields: Any, sentence: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        environments.put_environment("staging", fields, by=None)
    assert sentence in str(refusal.value)
    assert not Environment.objects.filter(name="staging").exists()


def test_a_dry_run_looks_at_the_environment(staging: Recorder) -> None:
    plan = plan_in(documents.read_document(BREAKS), {}, "staging")
    assert check_preflight(plan, "staging").refusals == []
    assert any("protected" in found for found in check_preflight(plan, "production").warnings)


# Schedules


def make_schedule(environment: str, **fields: Any) -> Schedule:
    scenario = stored_scenarios.save_scenario(documents.read_document(BREAKS), by=None)
    schedule = Schedule(
        name="nightly", scenario_name=scenario.name, cron="* * * * *", environment=environment, **fields
    )
    return schedules.save_schedule(schedule, by=someone("ann", "run_scenario"))


def start_due(schedule: Schedule) -> Run | None:
    this_minute = timezone.now().replace(second=0, microsecond=0)
    Schedule.objects.filter(pk=schedule.pk).update(next_at=this_minute)
    due.start_due(this_minute)
    return Run.objects.order_by("-queued_at").first()


def test_a_schedule_runs_in_its_environment(production: Recorder, staging: Recorder) -> None:
    run = start_due(make_schedule("staging"))
    assert run is not None
    assert carried_out(run).outcome == Outcome.PASSED
    assert (staging.asked, production.asked) == (["POST /fault", "DELETE /fault"], [])


def test_an_approval_of_a_schedule_covers_the_environment_as_it_is(
    production: Recorder, staging: Recorder
) -> None:
    schedule = make_schedule("production")
    approvals.approve(Approval.objects.get(schedule=schedule), by=someone("bob", "approve_run"))
    assert schedules.find_obstacle(schedule) == ""
    put("production", staging.url, protected=True)
    assert "is protected" in schedules.find_obstacle(schedule)
    assert start_due(schedule) is None


def test_a_schedule_cannot_name_an_unknown_environment(staging: Recorder) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        make_schedule("stagin")
    assert refusal.value.errors == {"environment": "unknown environment 'stagin'; did you mean 'staging'?"}


def test_a_schedule_whose_environment_is_gone_starts_nothing(staging: Recorder) -> None:
    schedule = make_schedule("staging")
    environments.delete_environment(Environment.objects.get(name="staging"))
    assert start_due(schedule) is None
    assert "unknown environment 'staging'" in schedule.times.get().reason
