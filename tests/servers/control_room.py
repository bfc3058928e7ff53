"""A whole installation with its demo services, for a user with a browser."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.listing_servers import LISTED, listing_cluster, listing_engine
from tests.servers.loopback import free_port, is_listening, wait_for
from tests.servers.prometheus_server import measuring

NAME, PASSWORD = "operator", "made-up-for-the-tests"


# Addresses by name; `ended`, `running` and `left` are runs, `fault` is what the last one left behind.
PAGES = {
    "home": "/admin/",
    "scenarios": "/admin/scenarios/scenario/",
    "scenario": "/admin/scenarios/scenario/2/change/",
    "scenario-being-deleted": "/admin/scenarios/scenario/{retired}/change/",
    "new-scenario": "/admin/scenarios/scenario/add/",
    "new-test": "/admin/scenarios/scenario/new-test/?service=exchange",
    "new-test-of-a-fault": "/admin/scenarios/scenario/new-test/?service=exchange&break=redis-paused",
    "run-form": "/admin/scenarios/scenario/2/run/",
    "history": "/admin/scenarios/scenario/2/history/",
    "runs": "/admin/scenarios/run/",
    "run": "/admin/scenarios/run/{ended}/change/",
    "running": "/admin/scenarios/run/{running}/change/",
    "comparison": "/admin/scenarios/run/{ended}/compare/?with={running}",
    "report": "/admin/scenarios/run/{ended}/report/",
    "tokens": "/admin/scenarios/apitoken/",
    "new-token": "/admin/scenarios/apitoken/add/",
    "faults": "/admin/scenarios/fault/",
    "fault": "/admin/scenarios/fault/{fault}/change/",
    "acknowledge": "/admin/scenarios/fault/{fault}/acknowledge/",
    "run-with-a-fault-left": "/admin/scenarios/run/{left}/change/",
    "report-of-a-fault-left": "/admin/scenarios/run/{left}/report/",
    "services": "/admin/scenarios/service/",
    "service": "/admin/scenarios/service/{service}/change/",
    "new-service": "/admin/scenarios/service/add/",
    "find-services": "/admin/scenarios/service/discover/",
    "environments": "/admin/scenarios/environment/",
    "new-environment": "/admin/scenarios/environment/add/",
    "hosts": "/admin/scenarios/host/",
    "host": "/admin/scenarios/host/1/change/",
    "schedules": "/admin/scenarios/schedule/",
    "schedule": "/admin/scenarios/schedule/{schedule}/change/",
    "new-schedule": "/admin/scenarios/schedule/add/",
    "approvals": "/admin/scenarios/approval/",
    "approval": "/admin/scenarios/approval/{approval}/change/",
    "approval-of-a-schedule": "/admin/scenarios/approval/{schedules_approval}/change/",
    "run-that-awaits-approval": "/admin/scenarios/run/{awaiting}/change/",
    "suites": "/admin/scenarios/suite/",
    "suite": "/admin/scenarios/suite/{suite}/change/",
    "new-suite": "/admin/scenarios/suite/add/",
    "suite-history": "/admin/scenarios/suite/{suite}/history/",
    "suite-run": "/admin/scenarios/suite/{suite}/runs/{suite_run}/",
    "webhooks": "/admin/scenarios/webhook/",
    "new-webhook": "/admin/scenarios/webhook/add/",
    "webhook": "/admin/scenarios/webhook/{webhook}/change/",
    "deliveries": "/admin/scenarios/delivery/",
    "delivery": "/admin/scenarios/delivery/{delivery}/change/",
    "allow-lists": "/admin/scenarios/allowlist/",
    "allow-list": "/admin/scenarios/allowlist/networks/change/",
    "audit": "/admin/scenarios/auditentry/",
    "guide": "/admin/guide/",
    "guide-of-the-language": "/admin/guide/scenario-language/",
    "api": "/api/v1/docs",
}


# A webhook that nobody listens to gets messages about it. In one transaction, so that the worker does not
# claim the run before its events are written.
A_FAULT_IS_LEFT = """
from django.db import transaction
from scenarios.domain.outcomes import Rollback
from scenarios.drivers.documents import read_document
from scenarios.library.scenarios import save_scenario
from scenarios.library.services import register_service
from scenarios.models import DeletionRequest, Run
from tests.integration.scenarios.runs.outside_rows import a_webhook
from tests.integration.scenarios.story_rows import Telling
register_service("gone", "http://127.0.0.1:1")
webhook = a_webhook("Pager of the night shift", "http://127.0.0.1:1/on-call", tags=["latency"])
with transaction.atomic():
    telling = Telling()
    telling.begin(service="gone")
    telling.finish(Rollback.DIRTY)
# It cannot be deleted before its fault is undone.
source = telling.run.document.replace("name: exchange-latency", "name: retired", 1)
retired = save_scenario(read_document(source))
Run.objects.filter(pk=telling.run.pk).update(scenario=retired)
DeletionRequest.objects.create(scenario=retired, requested_by_name="ann", total=50_000, left=12_000)
fault = telling.run.faults.get()
print(telling.run.pk, fault.pk, webhook.pk, webhook.deliveries.first().pk, retired.pk)
"""


# Someone asks for a run of a protected service, and has a schedule of it; one was due, and was skipped.
A_RUN_AWAITS_APPROVAL = """
from datetime import time
from django.contrib.auth.models import Group, User
from django.utils import timezone
from scenarios.planning import schedules
from scenarios.drivers import documents
from scenarios.library import hosts as registered_hosts
from scenarios.library import services as registered_services
from scenarios.library import scenarios as stored_scenarios
from scenarios.runs import commands as run_commands
from scenarios.models import Scenario, Schedule
ann = User.objects.create_user("ann", is_staff=True)
ann.groups.add(Group.objects.get(name="Editor"))
service = registered_services.register_service("custody", "http://127.0.0.1:2", "Keeps what is traded")
service.is_protected, service.proxy = True, "http://127.0.0.1:2"
registered_services.save_service(service)
registered_hosts.register_host("shop-1", address="chaos@127.0.0.1:2", labels={"role": "shop"})
source = Scenario.objects.get(name="exchange-latency").document
source = source.replace("name: exchange-latency", "name: custody-latency", 1)
source = source.replace("service: exchange,", "service: custody,")
scenario = stored_scenarios.save_scenario(documents.read_document(source), by=ann)
run = run_commands.start_run(source, {"hold": "2s"}, origin="admin", scenario=scenario, by=ann)
schedule = Schedule(name="nightly-custody", scenario_name=scenario.name, variables={"hold": "2s"})
schedule.cron, schedule.time_zone, schedule.window_days = "30 2 * * MON-FRI", "Europe/Berlin", [1, 2, 3, 4, 5]
schedule.window_from, schedule.window_to = time(1), time(5)
schedules.save_schedule(schedule, by=ann)
schedule.times.create(due_at=timezone.now(), outcome="skipped", reason="not approved")
other = Schedule(name="hourly-latency", scenario_name="exchange-latency", cron="0 * * * *", is_paused=True)
schedules.save_schedule(other, by=ann)
print(run.pk, run.approval.pk, schedule.pk, schedule.approvals.get().pk, service.pk)
"""


# A suite of registered services, with a run that has ended: a cell of each state.
A_SUITE_HAS_RUN = """
from datetime import timedelta
from django.utils import timezone
from scenarios.domain.suite_states import TriedState
from scenarios.models import Run
from scenarios.suites.documents import read_suite
from scenarios.suites.storage import save_suite
suite = save_suite(read_suite('''
apiVersion: coordinator/v1
kind: Suite
metadata: {name: exchange, title: What the exchange survives}
spec:
  service: exchange
  healthy: {probe: {http: {service: exchange, path: /orders}}, expect: {status: 200}}
  depends_on:
    - {service: custody, kind: http, must: survive}
    - {service: risk-monitor, kind: tcp, must: fail, faults: [slow, cpu]}
'''))
now = timezone.now()
ended = Run.objects.filter(state="finished").first()
suite_run = suite.runs.create(
    suite_name=suite.name, document=suite.document, state="finished", outcome="failed",
    reason="1 of 16 cells failed: custody hanging", started_from="cli", finished_at=now,
)
states = list(TriedState)
for number, cell in enumerate(suite.cells.all()):
    state = states[number % len(states)]
    reason = "status is 503, not 200, and the answer took 2.1 s" if state == "failed" else ""
    suite_run.cells.create(
        order=cell.order, dependency=cell.dependency, fault=cell.fault, state=state, reason=reason, run=ended,
    )
    if state in ("survived", "degraded", "failed"):
        cell.state, cell.reason, cell.run, cell.proved_at = state, reason, ended, now
        cell.fresh_until = now + timedelta(days=30 if state != "degraded" else -1)
        cell.save()
print(suite.pk, suite_run.pk)
"""


class ControlRoom:
    """`run` starts a scenario with the command line and returns the run's id."""

    def __init__(self, installed: Coordinator) -> None:
        self.installed = installed
        self.base = f"http://127.0.0.1:{installed.port}"

    def run(self, scenario: str, **variables: str) -> str:
        given = [word for name, value in variables.items() for word in ("--var", f"{name}={value}")]
        return self.installed.manage("scenario", "run", scenario, *given, "--detach").strip()

    def wait_until_running(self, run: str) -> None:
        """Wait for it; another run may still release the exchange."""
        query = "select 1 from scenarios_run where id = ? and state = 'running'"
        wait_for(lambda: self.installed.rows(query, UUID(run).hex), what=f"{run} is running")

    def past(self) -> dict[str, str]:
        """Ids of what there is: a run that `ended`, one that `left` a `fault`, one that is `awaiting`."""
        ended = self.run("exchange-latency")
        self.installed.manage("scenario", "follow", ended)  # to its own end: it holds the exchange until then
        told = self.installed.manage("shell", "--no-imports", "-c", A_FAULT_IS_LEFT).split()
        left = dict(zip(("left", "fault", "webhook", "delivery", "retired"), told, strict=True))
        told = self.installed.manage("shell", "--no-imports", "-c", A_RUN_AWAITS_APPROVAL).split()
        names = ("awaiting", "approval", "schedule", "schedules_approval", "service")
        suite = self.installed.manage("shell", "--no-imports", "-c", A_SUITE_HAS_RUN).split()
        suites = dict(zip(("suite", "suite_run"), suite, strict=True))
        return {"ended": ended, **left, **dict(zip(names, told, strict=True)), **suites}

    @contextmanager
    def pages(self, past: dict[str, str]) -> Iterator[dict[str, str]]:
        """Every page's address by name, while a run goes on; it is over afterwards."""
        running = self.run("exchange-latency", hold="100s")
        self.wait_until_running(running)
        try:
            yield {name: page.format(running=running, **past) for name, page in PAGES.items()}
        finally:
            self.installed.manage("scenario", "stop", running)


@contextmanager
def control_room(data: Path) -> Iterator[ControlRoom]:
    ports = {"exchange": free_port(), "risk-monitor": free_port()}
    with ExitStack() as stack:
        own = stack.enter_context(measuring(data, ports["exchange"]))
        # What the page that finds services shows.
        own["CONTAINER_ENGINES"] = f"local={stack.enter_context(listing_engine(LISTED))}"
        own["KUBERNETES_CONFIG"] = stack.enter_context(listing_cluster(data))
        own["KUBERNETES_NAMESPACES"] = "shop"
        installed = stack.enter_context(coordinator(data, DJANGO_SUPERUSER_PASSWORD=PASSWORD, **own))
        installed.set_up(**{name: f"http://127.0.0.1:{port}" for name, port in ports.items()})
        installed.manage(
            "createsuperuser", "--noinput", "--username", NAME, "--email", "operator@example.com"
        )
        watched = f"http://127.0.0.1:{ports['exchange']}"
        for name, port in ports.items():
            options = ("--watches", watched) if name == "risk-monitor" else ()
            installed.start_demo_service(name, port, *options)
        for name, port in ports.items():
            wait_for(lambda port=port: is_listening(port), what=f"{name} listens")  # type: ignore[misc]
        installed.start_watchdog()
        installed.start_worker()
        installed.start_web()
        yield ControlRoom(installed)
