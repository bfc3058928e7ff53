"""A whole installation with its demo services, for whoever looks at it with a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.loopback import free_port, is_listening, wait_for

NAME, PASSWORD = "operator", "made-up-for-the-tests"


# Addresses by name; `ended`, `running` and `left` are runs, `fault` is what the last one left behind.
PAGES = {
    "home": "/admin/",
    "scenarios": "/admin/scenarios/scenario/",
    "scenario": "/admin/scenarios/scenario/2/change/",
    "new-scenario": "/admin/scenarios/scenario/add/",
    "run-form": "/admin/scenarios/scenario/2/run/",
    "history": "/admin/scenarios/scenario/2/history/",
    "runs": "/admin/scenarios/run/",
    "run": "/admin/scenarios/run/{ended}/change/",
    "running": "/admin/scenarios/run/{running}/change/",
    "report": "/admin/scenarios/run/{ended}/report/",
    "faults": "/admin/scenarios/fault/",
    "fault": "/admin/scenarios/fault/{fault}/change/",
    "acknowledge": "/admin/scenarios/fault/{fault}/acknowledge/",
    "run-with-a-fault-left": "/admin/scenarios/run/{left}/change/",
    "report-of-a-fault-left": "/admin/scenarios/run/{left}/report/",
    "services": "/admin/scenarios/service/",
    "webhooks": "/admin/scenarios/webhook/",
    "new-webhook": "/admin/scenarios/webhook/add/",
    "webhook": "/admin/scenarios/webhook/{webhook}/change/",
    "deliveries": "/admin/scenarios/delivery/",
    "delivery": "/admin/scenarios/delivery/{delivery}/change/",
    "api": "/api/v1/docs",
}


# Of it a webhook is told, to which nobody listens. In one transaction: the worker must not claim the run
# before its story is told.
A_FAULT_IS_LEFT = """
from django.db import transaction
from scenarios.domain.outcomes import Rollback
from scenarios.services import register_service
from tests.integration.scenarios.outside_rows import a_webhook
from tests.integration.scenarios.story_rows import Telling
register_service("gone", "http://127.0.0.1:1")
webhook = a_webhook("Pager of the night shift", "http://127.0.0.1:1/on-call", tags=["latency"])
with transaction.atomic():
    telling = Telling()
    telling.begin(service="gone")
    telling.finish(Rollback.DIRTY)
print(telling.run.pk, telling.run.faults.get().pk, webhook.pk, webhook.deliveries.first().pk)
"""


class ControlRoom:
    """`run` starts a scenario by the command line and returns the run's id."""

    def __init__(self, installed: Coordinator) -> None:
        self.installed = installed
        self.base = f"http://127.0.0.1:{installed.port}"

    def run(self, scenario: str, **variables: str) -> str:
        given = [word for name, value in variables.items() for word in ("--var", f"{name}={value}")]
        return self.installed.manage("scenario", "run", scenario, *given, "--detach").strip()

    def wait_for(self, verdict: str) -> None:
        """Until the list of runs has the word."""
        wait_for(lambda: verdict in self.installed.manage("scenario", "runs"), what=f"a run is {verdict}")

    def past(self) -> dict[str, str]:
        """Ids of what has happened: a run that `ended`, one that `left` a `fault` behind."""
        ended = self.run("exchange-latency")
        self.wait_for("passed")
        told = self.installed.manage("shell", "--no-imports", "-c", A_FAULT_IS_LEFT).split()
        names = ("left", "fault", "webhook", "delivery")
        return {"ended": ended, **dict(zip(names, told, strict=True))}

    @contextmanager
    def pages(self, past: dict[str, str]) -> Iterator[dict[str, str]]:
        """Every page's address by name, while a run goes on; it is over afterwards."""
        running = self.run("exchange-latency", hold="10m")
        self.wait_for("running")
        try:
            yield {name: page.format(running=running, **past) for name, page in PAGES.items()}
        finally:
            self.installed.manage("scenario", "stop", running)


@contextmanager
def control_room(data: Path) -> Iterator[ControlRoom]:
    with coordinator(data, DJANGO_SUPERUSER_PASSWORD=PASSWORD) as installed:
        ports = {"exchange": free_port(), "risk-monitor": free_port()}
        installed.set_up(**{name: f"http://127.0.0.1:{port}" for name, port in ports.items()})
        installed.manage(
            "createsuperuser", "--noinput", "--username", NAME, "--email", "operator@example.com"
        )
        watched = f"http://127.0.0.1:{ports['exchange']}"
        for name, port in ports.items():
            options = ("--watches", watched) if name == "risk-monitor" else ()
            installed.start(name, "manage.py", "demo_service", name, "--port", str(port), *options)
        for name, port in ports.items():
            wait_for(lambda port=port: is_listening(port), what=f"{name} listens")  # type: ignore[misc]
        installed.start_watchdog()
        installed.start_worker()
        installed.start_web()
        yield ControlRoom(installed)
