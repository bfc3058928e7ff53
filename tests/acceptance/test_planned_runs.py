"""Several watchdogs and the command line, as processes on PostgreSQL: one run each time, none unapproved."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.coordinator import Coordinator, command, coordinator, read_until
from tests.servers.loopback import wait_for
from tests.servers.postgresql import PostgreSQL
from tests.servers.target import Target, running_target

pytestmark = pytest.mark.postgresql

WATCHDOGS = 3
SCHEDULES = 15
LONG_FAULT = "tests/servers/long-fault.yaml"
MADE = f"""
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from scenarios.planning import schedules
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services as registered_services
from scenarios.models import Schedule
document = '''
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: short}}
spec: {{phases: [{{name: p, actions: [{{name: wait, do: {{wait: {{duration: 10ms}}}}}}]}}]}}
'''
stored_scenarios.save_scenario(documents.read_document(document))
ann = User.objects.create_superuser("ann")
for number in range({SCHEDULES}):
    schedule = Schedule(name=f"raced-{{number}}", scenario_name="short", cron="0 0 1 1 *")
    schedules.save_schedule(schedule, by=ann)
"""
DUE = """
from django.utils import timezone
from scenarios.models import Schedule
now = timezone.now().replace(second=0, microsecond=0)
Schedule.objects.update(next_at=now, cron=f"{now:%M %H} * * *")
"""
NOTED = """
SELECT count(*), min(outcome), max(outcome),
    (SELECT count(*) FROM scenarios_run WHERE schedule_id IS NOT NULL),
    (SELECT count(DISTINCT schedule_id) FROM scenarios_run)
FROM scenarios_scheduledtime
"""
SEEN = "SELECT 1 FROM scenarios_heartbeat WHERE name = 'watchdog'"
PROTECT = """
from django.contrib.auth.models import User
from scenarios.library import services as registered_services
from scenarios.models import Service
User.objects.get_or_create(username="bob")
service = Service.objects.get(name="target")
service.is_protected = True
registered_services.save_service(service)
"""
APPROVE = """
from django.contrib.auth.models import User
from scenarios.planning import approvals
from scenarios.models import Approval
newest = Approval.objects.order_by("-asked_at")[0]
approvals.approve(newest, by=User.objects.get(username="bob"), reason="announced")
"""


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with running_target() as running:
        yield running


@pytest.fixture(scope="module")
def system(
    tmp_path_factory: pytest.TempPathFactory, postgresql_server: PostgreSQL, target: Target
) -> Iterator[Coordinator]:
    data = Path(tmp_path_factory.mktemp("planned"))
    with coordinator(data, DATABASE_URL=postgresql_server.new_database()) as installed:
        installed.set_up(target=target.url)
        yield installed


def shell(system: Coordinator, program: str) -> str:
    return system.manage("shell", "--no-imports", "-c", program).strip()


def test_one_of_several_watchdogs_starts_each_run(system: Coordinator) -> None:
    shell(system, MADE)
    for number in range(WATCHDOGS):
        directory = str(system.data / f"metrics-{number}")
        system.start(f"watchdog-{number}", "manage.py", "watchdog", PROMETHEUS_MULTIPROC_DIR=directory)
    wait_for(lambda: system.rows(SEEN), what="a watchdog works")
    shell(system, DUE)
    wait_for(lambda: system.rows(NOTED)[0][0] >= SCHEDULES, what="every schedule was due")
    assert system.rows(NOTED) == [(SCHEDULES, "started", "started", SCHEDULES, SCHEDULES)]
    logs = "".join(system.find_log(f"watchdog-{number}").read_text() for number in range(WATCHDOGS))
    assert "Traceback" not in logs


def test_the_command_line_waits_for_the_second_person_and_then_follows_the_run(
    system: Coordinator, target: Target
) -> None:
    shell(system, PROTECT)
    system.start_worker()
    environment = {"DATABASE_URL": system.environment["DATABASE_URL"]}
    with command(system.data, "scenario", "run", LONG_FAULT, **environment) as running:
        read_until(running.stdout, "Waiting: it needs the approval of a second person: 'target' is")
        assert target.injected == 0
        shell(system, APPROVE)
        assert "Approved by bob: announced" in read_until(running.stdout, "⚡")
        assert target.active == 1
        system.manage("scenario", "stop", "--all")
        read_until(running.stdout, "ABORTED")
    assert target.active == 0
    system.manage("scenario", "release")


def test_the_command_line_refuses_not_to_wait_for_an_approval(system: Coordinator) -> None:
    shell(system, PROTECT)
    environment = {"DATABASE_URL": system.environment["DATABASE_URL"]}
    with command(system.data, "scenario", "run", LONG_FAULT, "--no-wait", **environment) as refused:
        read_until(refused.stdout, "cannot begin now: it needs the approval of a second person")
        assert refused.wait(300) == 2
    with command(system.data, "scenario", "run", LONG_FAULT, "--detach", **environment) as detached:
        read_until(detached.stdout, "Waiting: it needs the approval")
        assert detached.wait(300) == 0
