"""A whole installation with its demo services, for whoever looks at it with a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.loopback import free_port, is_listening, wait_for

NAME, PASSWORD = "operator", "made-up-for-the-tests"


class ControlRoom:
    """`run` starts a scenario by the command line and returns the run's id."""

    def __init__(self, installed: Coordinator) -> None:
        self.installed = installed
        self.base = f"http://127.0.0.1:{installed.port}"

    def run(self, scenario: str, **variables: str) -> str:
        given = [word for name, value in variables.items() for word in ("--var", f"{name}={value}")]
        return self.installed.manage("scenario", "run", scenario, *given, "--detach").strip()


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
