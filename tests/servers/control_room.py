"""A whole installation with its demo services, for whoever looks at it with a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.loopback import free_port, is_listening, wait_for

NAME, PASSWORD = "operator", "made-up-for-the-tests"


# Addresses by name; `{ended}` and `{running}` are ids of runs.
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
    "fault": "/admin/scenarios/fault/1/change/",
    "acknowledge": "/admin/scenarios/fault/1/acknowledge/",
    "services": "/admin/scenarios/service/",
    "api": "/api/v1/docs",
}


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

    def pages(self) -> dict[str, str]:
        """Every page's address, after something has happened that it can show; one run is left running."""
        ended = self.run("exchange-latency")
        self.wait_for("passed")
        running = self.run("exchange-latency", hold="10m")
        self.wait_for("running")
        return {name: page.format(ended=ended, running=running) for name, page in PAGES.items()}


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
