"""Who may do what, asked from the outside: each verb and each page, for each of the ready-made groups."""

import uuid
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from scenarios.access.groups import GROUPS
from scenarios.domain.outcomes import Rollback, RunState
from scenarios.models import Approval, Fault, GlobalStop, Run, Scenario, Schedule, Service
from scenarios.planning import approvals
from tests.integration.scenarios.planned_rows import (
    DOCUMENT,
    asked_run,
    exchange,
    read_approval,
    scheduled,
    someone,
    stored,
)
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db

FORBIDDEN = 403
EVERYBODY = set(GROUPS)
RUNNERS = {"Runner", "Editor", "Administrator"}
EDITORS = {"Editor", "Administrator"}
DECIDERS = {"Approver", "Administrator"}
STOPPERS = EVERYBODY - {"Viewer"}
ADMINISTRATORS = {"Administrator"}


@dataclass(frozen=True)
class World:
    """One of everything, all asked for by someone who is in none of the groups."""

    scenario: Scenario
    service: Service
    schedule: Schedule
    awaiting: Run
    approval: Approval
    running: Run
    fault: Fault


@pytest.fixture
def world() -> World:
    stranger = someone("stranger", "run_scenario")
    telling = Telling()
    telling.begin(service="gone")
    telling.finish(Rollback.DIRTY)
    service = exchange(is_protected=True)
    scenario = stored(by=stranger)
    running = asked_run(stranger, DOCUMENT.replace("exchange", "custodian"))
    awaiting = asked_run(stranger)
    schedule = scheduled(stranger)
    return World(scenario, service, schedule, awaiting, read_approval(awaiting), running, Fault.objects.get())


@pytest.fixture(params=sorted(GROUPS))
def member(request: pytest.FixtureRequest, client: Client) -> str:
    user = User.objects.create_user(request.param.lower(), is_staff=True)
    user.groups.add(Group.objects.get(name=request.param))
    client.force_login(user)
    name: str = request.param
    return name


@dataclass(frozen=True)
class Verb:
    """Who may, the page it is asked of, and what is sent there. `of` is whose key stands in the address."""

    may: set[str]
    page: str
    of: str = ""
    sent: Any = field(default_factory=dict)
    method: str = "POST"
    content_type: str = ""

    def status(self, client: Client, world: World) -> int:
        keys = [reduce(getattr, self.of.split("."), world)] if self.of else []
        name = self.page if ":" in self.page else f"admin:scenarios_{self.page}"
        options: dict[str, Any] = {"content_type": self.content_type} if self.content_type else {}
        send = client.put if self.method == "PUT" else client.post
        return send(reverse(name, args=keys), self.sent, **options).status_code


ANOTHER = DOCUMENT.replace("break-exchange", "another")
CHANGED = DOCUMENT.replace("default: 5", "default: 6")
CONFIRMED = {"post": "yes"}
SCHEDULE = {
    "name": "weekly",
    "scenario_name": "break-exchange",
    "cron": "0 3 * * MON",
    "time_zone": "Europe/Berlin",
    "grace_minutes": "15",
}
NO_QUERIES = {"queries-TOTAL_FORMS": 0, "queries-INITIAL_FORMS": 0}
NEW_SERVICE = {"name": "market-data", "base_url": "http://127.0.0.1:9200", **NO_QUERIES}
WHY = {"reason": "so"}
JSON = "application/json"
VERBS = {
    "run": Verb(RUNNERS, "scenario_run", "scenario.pk"),
    "run again": Verb(RUNNERS, "run_again", "fault.run_id"),
    "write a scenario": Verb(EDITORS, "scenario_add", sent={"document": ANOTHER}),
    "change a scenario": Verb(EDITORS, "scenario_change", "scenario.pk", {"document": CHANGED}),
    "delete a scenario": Verb(EDITORS, "scenario_delete", "scenario.pk", CONFIRMED),
    "store a scenario by the API": Verb(
        EDITORS, "api:scenario", "scenario.name", CHANGED, "PUT", "text/yaml"
    ),
    "write a schedule": Verb(EDITORS, "schedule_add", sent=SCHEDULE),
    "change a schedule": Verb(EDITORS, "schedule_change", "schedule.pk", SCHEDULE),
    "pause a schedule": Verb(EDITORS, "schedule_pause", "schedule.pk"),
    "delete a schedule": Verb(EDITORS, "schedule_delete", "schedule.pk", CONFIRMED),
    "stop": Verb(STOPPERS, "run_stop", "running.pk"),
    "stop by the API": Verb(STOPPERS, "api:stop_run", "running.pk", content_type=JSON),
    "try an undo again": Verb(STOPPERS, "fault_retry", "fault.pk"),
    "acknowledge": Verb(ADMINISTRATORS, "fault_acknowledge", "fault.pk", WHY),
    "approve": Verb(DECIDERS, "approval_approve", "approval.pk"),
    "refuse": Verb(DECIDERS, "approval_refuse", "approval.pk", WHY),
    "pull the global stop": Verb(STOPPERS, "admin:global_stop", sent=WHY),
    "pull the global stop by the API": Verb(STOPPERS, "api:stop", sent=WHY, content_type=JSON),
    "register a service": Verb(ADMINISTRATORS, "service_add", sent=NEW_SERVICE),
    "change a service": Verb(ADMINISTRATORS, "service_change", "service.pk", NEW_SERVICE),
    "delete a service": Verb(ADMINISTRATORS, "service_delete", "service.pk", CONFIRMED),
}


def admin(name: str, *keys: object) -> str:
    return reverse(f"admin:scenarios_{name}", args=keys)


def facts() -> object:
    """All that a verb could have changed."""
    return [
        list(Run.objects.order_by("pk").values_list("pk", "state", "stop_requested_at")),
        list(Scenario.objects.values_list("name", "document", "changed_by")),
        list(Schedule.objects.values_list("name", "is_paused")),
        list(Service.objects.values_list("name", "base_url")),
        list(Approval.objects.order_by("pk").values_list("pk", "state")),
        list(Fault.objects.values_list("state", "next_try_at")),
        list(GlobalStop.objects.values_list("pulled_by")),
    ]


def asked(client: Client, world: World, verb: Verb) -> tuple[int, bool]:
    """The answer's status, and whether anything has changed by it; it is then as it was."""
    before = facts()
    with transaction.atomic():
        status = verb.status(client, world)
        changed = facts() != before
        transaction.set_rollback(True)
    return status, changed


def test_a_verb_is_for_those_who_have_its_permission_alone(client: Client, world: World, member: str) -> None:
    for name, verb in VERBS.items():
        status, changed = asked(client, world, verb)
        if member in verb.may:
            assert status in {200, 302}, name
            assert changed, name
        else:
            assert (status, changed) == (FORBIDDEN, False), name


def test_someone_who_is_not_logged_in_changes_nothing(client: Client, world: World) -> None:
    for name, verb in VERBS.items():
        status, changed = asked(client, world, verb)
        assert status in {302, 401, 403}, name
        assert not changed, name


def pages(world: World) -> list[str]:
    run = world.fault.run_id
    return [
        reverse("admin:index"),
        *(admin(f"{model}_changelist") for model in ("scenario", "run", "fault", "service", "schedule")),
        admin("approval_changelist"),
        admin("scenario_change", world.scenario.pk),
        admin("scenario_history", world.scenario.pk),
        admin("run_change", run),
        admin("run_change", world.awaiting.pk),
        admin("run_report", run),
        admin("fault_change", world.fault.pk),
        admin("service_change", world.service.pk),
        admin("schedule_change", world.schedule.pk),
        admin("approval_change", world.approval.pk),
    ]


def test_each_group_can_look_at_every_page(client: Client, world: World, member: str) -> None:
    for page in pages(world):
        assert client.get(page).status_code == 200, page


def test_someone_without_a_permission_can_look_at_none(client: Client, world: World) -> None:
    client.force_login(someone("nobody"))
    for page in pages(world)[1:]:
        assert client.get(page).status_code == FORBIDDEN, page


def test_a_viewer_is_offered_nothing_that_he_may_not_do(client: Client, world: World) -> None:
    user = someone("vera")
    user.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(user)
    for page in pages(world):
        content = client.get(page).content.decode()
        for offered in (">Run</button>", ">Stop</button>", ">Approve</button>", ">Refuse</button>", "_save"):
            assert offered not in content, (page, offered)


def test_a_runner_cannot_approve_his_own_nor_a_superuser_or_administrator(client: Client) -> None:
    exchange(is_protected=True)
    for name, is_superuser in (("Runner", False), ("Administrator", False), ("Administrator", True)):
        user = someone(f"u-{uuid.uuid4().hex[:8]}", is_superuser=is_superuser)
        user.groups.add(Group.objects.get(name=name))
        client.force_login(user)
        client.post(admin("scenario_run", stored().pk), {})
        run = Run.objects.get(started_by=user)
        asked = read_approval(run)
        assert b">Approve</button>" not in client.get(admin("approval_change", asked.pk)).content
        client.post(admin("approval_approve", asked.pk), {"reason": "mine"})
        run.refresh_from_db()
        assert run.state == RunState.AWAITING_APPROVAL


def test_request_of_one_person_is_approved_by_another_and_shown_so(client: Client) -> None:
    exchange(is_protected=True)
    run = asked_run(someone("ann", "run_scenario"))
    bob = someone("bob")
    bob.groups.add(Group.objects.get(name="Approver"))
    client.force_login(bob)
    assert "1 request waiting for approval" in client.get("/admin/").content.decode()
    client.post(admin("approval_approve", read_approval(run).pk), {"reason": "announced"})
    assert "approved by bob" in client.get(admin("run_change", run.pk)).content.decode()
    assert "waiting for approval" not in client.get("/admin/").content.decode()
    run.refresh_from_db()
    assert run.state == RunState.QUEUED


def test_a_refusal_without_a_reason_decides_nothing(client: Client, world: World) -> None:
    client.force_login(someone("bob", "approve_run", "view_approval"))
    address = admin("approval_refuse", world.approval.pk)
    answer = client.post(address, {"reason": " "}, follow=True)
    assert "Enter a reason for refusing" in answer.content.decode()
    world.awaiting.refresh_from_db()
    assert world.awaiting.state == RunState.AWAITING_APPROVAL


def test_protection_is_taken_away_by_those_alone_who_may_protect(client: Client, world: World) -> None:
    client.force_login(someone("carl", "view_service", "change_service", "delete_service"))
    address = admin("service_change", world.service.pk)
    assert client.post(address, {**NEW_SERVICE, "name": "exchange"}).status_code == FORBIDDEN
    client.post(
        admin("service_changelist"), {"action": "delete_selected", "_selected_action": "1", "post": "yes"}
    )
    other = Service.objects.create(name="other", base_url="http://127.0.0.1:9300")
    wish = {"name": "other", "base_url": "http://127.0.0.1:9301", "is_protected": "on", **NO_QUERIES}
    assert client.post(admin("service_change", other.pk), wish).status_code == 302
    protected = dict(Service.objects.values_list("name", "is_protected"))
    assert protected == {"exchange": True, "other": False}


def test_the_groups_are_made_again_by_migrate_and_changed_ones_are_left_alone() -> None:
    Group.objects.get(name="Viewer").permissions.clear()
    Group.objects.get(name="Runner").delete()
    call_command("migrate", verbosity=0)
    assert Group.objects.get(name="Viewer").permissions.count() == 0
    assert Group.objects.get(name="Runner").permissions.filter(codename="run_scenario").exists()


def test_an_approval_by_someone_who_lost_the_permission_meanwhile_is_refused(
    client: Client, world: World
) -> None:
    bob = someone("bob", "approve_run")
    client.force_login(bob)
    bob.user_permissions.clear()
    assert client.post(admin("approval_approve", world.approval.pk)).status_code == FORBIDDEN
    assert approvals.expire(timezone.now()) == 0
