"""`manage.py up`: the whole system on this machine, and the first scenario carried out against it."""

import fcntl
import http.client
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from rich.console import Console

from coordinator_site import local_system, ports_in_use
from coordinator_site.supervisor import Child, Supervisor
from scenarios.command_line import exit_codes
from scenarios.command_line.local import LocalCoordinator
from scenarios.command_line.progress import Progress
from scenarios.command_line.terminal import Terminal
from scenarios.domain.outcomes import RunState
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services as registered_services
from scenarios.models import Fault, Scenario
from scenarios.runs import commands as run_commands
from scenarios.runs import executor, recovery

FIRST_SCENARIO = "exchange-latency"
EXCHANGE = (
    "Demo: accepts orders at /orders. POST to /chaos/latency with {delay_ms: 500}, to /chaos/errors with"
    " {rate: 0.5} or to /chaos/outage breaks it, DELETE there undoes it."
)
RISK_MONITOR = "Demo: watches the exchange, and lists at /alerts what it noticed."
READY_SECONDS = 40.0
LOOK_SECONDS = 0.2


class ToldToStop(Exception):  # noqa: N818 - no error
    """SIGTERM or SIGINT arrived."""


class Command(BaseCommand):
    help = "Starts everything on this machine, runs the first scenario, and goes on serving until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="End after the first scenario, with its exit code."
        )
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help=f"Default {settings.PORT} (PORT)."
        )

    def handle(self, *_arguments: Any, once: bool, port: int, **_options: Any) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        with one_at_a_time(settings.DATA_DIR / "up.lock"), signals_raised():
            refuse_taken(port)
            ports = local_system.choose_ports(port)
            password = self.prepare(ports)
            supervisor = Supervisor(
                local_system.children(ports), logs=settings.DATA_DIR / "logs", directory=settings.BASE_DIR
            )
            code = self.serve(supervisor, ports, password, once=once)
        if code:
            sys.exit(code)

    def prepare(self, ports: local_system.Ports) -> str:
        """Database, catalogue, services; the password of the admin if one was made now."""
        call_command("migrate", verbosity=0)
        for file in sorted((settings.BASE_DIR / "scenarios" / "catalogue").glob("*.yaml")):
            # One that is there may have been changed by its user: it stays as it is.
            if not Scenario.objects.filter(name=file.stem).exists():
                stored_scenarios.save_scenario(documents.read_document(file.read_bytes()))
        registered_services.register_service("exchange", ports.address_of("exchange"), EXCHANGE)
        registered_services.register_service("risk-monitor", ports.address_of("risk_monitor"), RISK_MONITOR)
        return make_admin()

    def serve(self, supervisor: Supervisor, ports: local_system.Ports, password: str, *, once: bool) -> int:
        code = 0
        try:
            supervisor.start()
            self.wait_until_ready(supervisor, ports.web)
            self.tell_addresses(supervisor, ports, password)
            code = self.run_first_scenario(once=once)
            if not once:
                self.console.print("\nServing. Ctrl-C stops everything.")
                self.keep_running(supervisor)
        except ToldToStop:
            self.console.print("\nStopping: faults are undone first.")
        finally:
            ignore_signals()
            self.stop(supervisor)
        return code if once else 0

    def wait_until_ready(self, supervisor: Supervisor, port: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        answer = "nothing"
        while time.monotonic() < deadline:
            self.do_without_prometheus(supervisor)
            for child in supervisor.children:
                if not child.running:
                    raise CommandError(f"{child.name} ended at its start:\n{tail(supervisor.log_of(child))}")
            answer = ready_answer(port)
            if answer == "":
                return
            time.sleep(LOOK_SECONDS)
        raise CommandError(f"Not ready after {READY_SECONDS:g} s. /api/v1/ready answers: {answer}")

    def do_without_prometheus(self, supervisor: Supervisor) -> None:
        """Charts stay empty without it; everything else works."""
        ended = [child for child in supervisor.children if child.name == "prometheus" and not child.running]
        for child in ended:
            log = supervisor.log_of(child)
            self.console.print(f"[yellow]Prometheus ended at its start: charts stay empty[/yellow]: {log}")
            supervisor.children.remove(child)

    def tell_addresses(self, supervisor: Supervisor, ports: local_system.Ports, password: str) -> None:
        web = ports.address_of("web")
        places = {"Admin": f"{web}/admin/", "Metrics": f"{web}/metrics", "API docs": f"{web}/api/v1/docs"}
        places["Exchange"] = f"{ports.address_of('exchange')}/metrics"
        if any(child.name == "prometheus" for child in supervisor.children):
            places["Prometheus"] = ports.address_of("prometheus")
        elif settings.PROMETHEUS_URL:
            places["Prometheus"] = f"{settings.PROMETHEUS_URL} (PROMETHEUS_URL: none is started here)"
        places["Logs"] = str(settings.DATA_DIR / "logs")
        lines = [f"{place:<12}{address}" for place, address in places.items()]
        if password:
            lines += [
                f"Log in as [bold]admin[/bold] with the password [bold]{password}[/bold] (shown this once)"
            ]
        self.console.print("\n".join(lines) + "\n")

    def run_first_scenario(self, *, once: bool) -> int:
        scenario = Scenario.objects.get(name=FIRST_SCENARIO)
        run = run_commands.start_run(scenario.document, {}, origin="cli", scenario=scenario)
        self.console.print(f"[bold]{scenario.title}[/bold] ({scenario.name})")
        if run.state == RunState.AWAITING_APPROVAL and not once:
            # Somebody may approve it tomorrow: what was started is to be looked after from now on.
            self.console.print(f"It waits: {run.waiting_for}. See the page Approvals.")
            return exit_codes.DONE
        return exit_codes.find_exit_code(Progress(LocalCoordinator(), str(run.id), Terminal()).follow())

    def keep_running(self, supervisor: Supervisor) -> None:
        while True:
            for child in supervisor.revive():
                self.console.print(
                    f"[yellow]{child.name} ended and is started again[/yellow]: {supervisor.log_of(child)}"
                )
            time.sleep(LOOK_SECONDS)

    def stop(self, supervisor: Supervisor) -> None:
        for child in supervisor.stop():
            if child.name == "worker":
                # Its targets and the database still live: whatever it could not undo is undone now.
                self.clean_up(child)
        connections.close_all()

    def clean_up(self, worker: Child) -> None:
        for pid in worker.pids:
            for run in recovery.clean_up_after(executor.process_name(pid)):
                self.console.print(f"A worker had died in {run.scenario_name}: {run.verdict}")
        left = Fault.objects.outstanding()
        for fault in left:
            why = fault.reason or fault.standing
            self.console.print(f"[red]Outstanding: {fault.action} of {fault.run}[/red]: {why}")
        if left:
            self.console.print("The watchdog of the next 'manage.py up' goes on trying to undo them.")


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Two systems on one data folder would fight over its database and ports."""
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"Another 'manage.py up' runs on {path.parent}: stop it, or choose another DATA_DIR and PORT."
            ) from None
        yield


@contextmanager
def signals_raised() -> Iterator[None]:
    def told(_number: int, _frame: FrameType | None) -> None:
        raise ToldToStop

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """While stopping: a second Ctrl-C must not leave a process or a fault behind."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def refuse_taken(port: int) -> None:
    if not ports_in_use.is_free(port):
        holder = ports_in_use.holder_of(port)
        by = f" by {holder}" if holder else ""
        raise CommandError(
            f"Port {port} is taken{by}: "
            f"choose another with 'manage.py up --port {ports_in_use.free_port()}' or PORT."
        )


def make_admin() -> str:
    """The generated password of the first administrator; "" where there is a user already."""
    users = get_user_model().objects
    if users.exists():
        return ""
    password = secrets.token_urlsafe(12)
    users.create_superuser(username="admin", password=password)
    return password


def ready_answer(port: int) -> str:
    """What is not ready; nothing at all when everything is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/api/v1/ready")
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()
    return "" if response.status == http.client.OK else body


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
