"""docs/command-line.md tells the truth: its commands are run against the whole system."""

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.command_line import MAKE_SCHEDULE
from tests.servers.coordinator import PROJECT, Coordinator, command, read_until
from tests.servers.documented import Page, with_values
from tests.servers.loopback import free_port

pytestmark = pytest.mark.timeout(240)

PAGE = Page(PROJECT / "docs" / "command-line.md")


EACH_IN_ORDER = """
import shlex, sys
from django.core.management import call_command
for line in sys.stdin.read().splitlines():
    try:
        call_command(*shlex.split(line)[2:])
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"{line} ended with {ended.code}")
    print("works:", line, file=sys.stderr)
"""


@dataclass(frozen=True)
class System:
    installed: Coordinator
    folder: Path
    run_id: str

    def run_in_order(self, lines: list[str]) -> subprocess.CompletedProcess[str]:
        """In one process, for starting one for each would take most of the time."""
        values = {"COPY": str(self.folder), "RUN": self.run_id, "SCHEDULE": "nightly"}
        return subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", EACH_IN_ORDER],
            cwd=PROJECT,
            env=self.installed.environment,
            input="\n".join(with_values(line, values) for line in lines),
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    def asked(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *shlex.split(line)[1:]],
            cwd=PROJECT,
            env=self.installed.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    installed = Coordinator(tmp_path_factory.mktemp("data"))
    installed.migrate()
    with command(installed.data, "up", "--port", str(free_port()), **installed.environment) as process:
        read_until(process.stdout, "Serving")
        (first,) = json.loads(installed.manage("scenario", "runs", "--json"))["items"]
        installed.manage("shell", "--no-imports", "-c", MAKE_SCHEDULE)
        folder = tmp_path_factory.mktemp("copy")
        installed.manage("scenario", "export", "--all", str(folder))
        yield System(installed, folder, first["id"])


def test_each_command_of_the_page_works_in_the_order_of_the_page(system: System) -> None:
    ran = system.run_in_order(PAGE.commands())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr.count("works: ") == len(PAGE.commands()) >= 20


def test_run_as_json_is_one_document_on_stdout_with_its_progress_on_stderr(
    system: System, tmp_path: Path
) -> None:
    file = tmp_path / "junit.xml"
    asked = system.asked(f"python3 manage.py scenario run exchange-errors --json --junit {file}")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["status"] == "passed"
    assert "⚡ make the exchange fail" in asked.stderr
    assert "\x1b" not in asked.stdout + asked.stderr
    assert "<testsuites>" in file.read_text()
    assert "<failure" not in file.read_text()


def test_a_run_that_is_stopped_is_aborted_and_its_junit_is_written(system: System, tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    words = ("scenario", "run", "exchange-latency", "--var", "hold=1m", "--junit", str(file))
    with command(system.installed.data, *words, **system.installed.environment) as going:
        read_until(going.stdout, "⚡")
        going.send_signal(signal.SIGTERM)
        assert going.wait(300) == 4
        assert going.stdout is not None
        assert "undone: slow the exchange down" in going.stdout.read()
    assert '<error message="aborted: ' in file.read_text()


def test_ctrl_c_while_following_leaves_the_run_alone(system: System) -> None:
    installed = system.installed
    run_id = installed.manage("scenario", "run", "exchange-latency", "--var", "hold=110s", "--detach").strip()
    with command(installed.data, "scenario", "follow", run_id, **installed.environment) as following:
        read_until(following.stdout, "fault_injected")
        following.send_signal(signal.SIGINT)
        assert following.wait(300) == 130
    (going,) = json.loads(installed.manage("scenario", "runs", "--status", "running", "--json"))["items"]
    assert going["id"] == run_id
    assert "ABORTED" in installed.manage("scenario", "stop", run_id[:8])


@pytest.mark.parametrize(("more", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_sees_a_line_that_changes_and_colours_unless_it_wants_none(
    system: System, more: dict[str, str], *, coloured: bool
) -> None:
    shown = in_a_terminal(system, {"TERM": "xterm", **more}, "scenario", "follow", system.run_id)
    assert ("\x1b[1;32mPASSED" in shown) is coloured
    assert "Ctrl-C exits" in shown


def in_a_terminal(system: System, environment: dict[str, str], *words: str) -> str:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "manage.py", *words],
        cwd=PROJECT,
        env={**system.installed.environment, **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:
            pass  # Linux says so that the other side is closed
        assert process.wait(300) == 0
    os.close(ours)
    return shown.decode()
