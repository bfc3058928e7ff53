"""`manage.py up`: starts the whole system on this machine and runs the first scenario."""

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

from coordinator_client.command_line import exit_codes
from coordinator_client.command_line.progress import Progress
from coordinator_client.command_line.terminal import Terminal
from coordinator_site import local_system, ports_in_use, served_port
from coordinator_site.demo_system import (
    FIRST_SCENARIO,
    FIRST_VARIABLES,
    find_local_addresses,
    find_proxy_token,
    import_catalogue,
    register_services,
    save_demo_suite,
)
from coordinator_site.static_files import collect_static_files
from coordinator_site.supervisor import Child, Supervisor
from scenarios.command_line.local import LocalCoordinator
from scenarios.domain.outcomes import RunState
from scenarios.models import Fault, Scenario
from scenarios.runs import commands as run_commands
from scenarios.runs import executor, recovery

# A busy machine takes a minute; a process that cannot start exits, which is noticed at once.
READY_SECONDS = 300.0
POLL_SECONDS = 0.2


class StopRequested(Exception):  # noqa: N818 - not an error
    """SIGTERM or SIGINT arrived."""


class Command(BaseCommand):
    help = "Starts everything on this machine, runs the first scenario, and serves until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="Stop after the first scenario and exit with its exit code."
        )
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help=f"Default {settings.PORT} (PORT)."
        )

    def handle(self, *_arguments: Any, once: bool, port: int, **_options: Any) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        with one_at_a_time(settings.DATA_DIR / "up.lock"), signals_as_exceptions():
            require_free_port(port)
            ports = local_system.choose_ports(port)
            password = self.prepare(ports)
            supervisor = Supervisor(
                local_system.build_children(ports, keep_proxy_token()),
                logs=settings.DATA_DIR / "logs",
                directory=settings.FILES_DIR,
            )
            with served_port.kept(settings.DATA_DIR, port):
                code = self.serve(supervisor, ports, password, once=once)
        if code:
            sys.exit(code)

    def prepare(self, ports: local_system.Ports) -> str:
        """Set up database, catalogue and services; returns the admin's password if it was created now."""
        call_command("migrate", verbosity=0)
        collect_static_files()
        import_catalogue()
        register_services(find_local_addresses(ports))
        save_demo_suite()
        return create_admin()

    def serve(self, supervisor: Supervisor, ports: local_system.Ports, password: str, *, once: bool) -> int:
        code = 0
        try:
            supervisor.start()
            self.wait_until_ready(supervisor, ports.web)
            self.print_addresses(supervisor, ports, password)
            code = self.run_first_scenario(once=once)
            if not once:
                self.console.print("\nServing. Ctrl-C stops everything.")
                self.keep_running(supervisor)
        except StopRequested:
            self.console.print("\nStopping. Faults are undone first.")
        finally:
            ignore_signals()
            self.stop(supervisor)
        return code if once else 0

    def wait_until_ready(self, supervisor: Supervisor, port: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        answer = "nothing"
        while time.monotonic() < deadline:
            self.drop_dead_prometheus(supervisor)
            for child in supervisor.children:
                if not child.running:
                    raise CommandError(f"{child.name} exited at start:\n{tail(supervisor.get_log(child))}")
            answer = find_problem(port)
            if answer == "":
                return
            time.sleep(POLL_SECONDS)
        raise CommandError(f"Not ready after {READY_SECONDS:g} s. /api/v1/ready answers: {answer}")

    def drop_dead_prometheus(self, supervisor: Supervisor) -> None:
        """Go on without Prometheus if it exited: only charts need it."""
        ended = [child for child in supervisor.children if child.name == "prometheus" and not child.running]
        for child in ended:
            log = supervisor.get_log(child)
            self.console.print(f"[yellow]Prometheus exited at start, so charts stay empty[/yellow]: {log}")
            supervisor.children.remove(child)

    def print_addresses(self, supervisor: Supervisor, ports: local_system.Ports, password: str) -> None:
        web = ports.get_address("web")
        places = {"Admin": f"{web}/admin/", "Metrics": f"{web}/metrics", "API docs": f"{web}/api/v1/docs"}
        places["Exchange"] = f"{ports.get_address('exchange')}/metrics"
        if any(child.name == "prometheus" for child in supervisor.children):
            places["Prometheus"] = ports.get_address("prometheus")
        elif settings.PROMETHEUS_URL:
            places["Prometheus"] = f"{settings.PROMETHEUS_URL} (PROMETHEUS_URL: not started here)"
        places["Logs"] = str(settings.DATA_DIR / "logs")
        lines = [f"{place:<12}{address}" for place, address in places.items()]
        if password:
            lines += [
                f"Log in as [bold]admin[/bold] with the password [bold]{password}[/bold] (shown only once)"
            ]
        self.console.print("\n".join(lines) + "\n")

    def run_first_scenario(self, *, once: bool) -> int:
        scenario = Scenario.objects.get(name=FIRST_SCENARIO)
        run = run_commands.start_run(scenario.document, FIRST_VARIABLES, origin="cli", scenario=scenario)
        self.console.print(f"[bold]{scenario.title}[/bold] ({scenario.name})")
        if run.state == RunState.AWAITING_APPROVAL and not once:
            # Serve meanwhile, because the approval may take days.
            self.console.print(f"Waiting: {run.waiting_for}. See the page Approvals.")
            return exit_codes.DONE
        return exit_codes.find_exit_code(Progress(LocalCoordinator(), str(run.id), Terminal()).follow())

    def keep_running(self, supervisor: Supervisor) -> None:
        while True:
            for child in supervisor.revive():
                self.console.print(
                    f"[yellow]{child.name} exited and was restarted[/yellow]: {supervisor.get_log(child)}"
                )
            time.sleep(POLL_SECONDS)

    def stop(self, supervisor: Supervisor) -> None:
        for child in supervisor.stop():
            if child.name == "worker":
                # The targets and the database still run, so faults that the worker left can be undone now.
                self.clean_up(child)
        connections.close_all()

    def clean_up(self, worker: Child) -> None:
        for pid in worker.pids:
            for run in recovery.clean_up_after(executor.process_name(pid)):
                self.console.print(f"A worker died in {run.scenario_name}: {run.verdict}")
        left = Fault.objects.outstanding()
        for fault in left:
            reason = fault.reason or fault.status
            self.console.print(f"[red]Outstanding: {fault.action} of {fault.run}[/red]: {reason}")
        if left:
            self.console.print("The watchdog retries the undo when 'manage.py up' runs again.")


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Refuse to start a second system on the same data folder."""
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"Another 'manage.py up' is running on {path.parent}; stop it, or choose another DATA_DIR "
                "and PORT."
            ) from None
        yield


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    def raise_stop(_number: int, _frame: FrameType | None) -> None:
        raise StopRequested

    before = {number: signal.signal(number, raise_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """So that a second Ctrl-C while stopping leaves no process or fault behind."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def keep_proxy_token() -> str:
    try:
        return find_proxy_token()
    except OSError as error:
        raise CommandError(
            f"The token of the fault proxy cannot be kept in {str(settings.SCENARIO_SECRET_DIR)!r} "
            f"({error.strerror}): let this user write there, or put a file FAULT_PROXY_TOKEN into it."
        ) from error


def require_free_port(port: int) -> None:
    if not ports_in_use.is_free(port):
        holder = ports_in_use.find_holder(port)
        by = f" by {holder}" if holder else ""
        raise CommandError(
            f"Port {port} is in use{by}; "
            f"choose another with 'manage.py up --port {ports_in_use.free_port()}' or PORT."
        )


def create_admin() -> str:
    """Create the first administrator and return the password; "" if there are users already."""
    users = get_user_model().objects
    if users.exists():
        return ""
    password = secrets.token_urlsafe(12)
    users.create_superuser(username="admin", password=password)
    return password


def find_problem(port: int) -> str:
    """What is not ready yet; "" when everything is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
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
