"""A database that cannot hold every text is refused; one that is used all the same hides no fault."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.loopback import wait_for
from tests.servers.postgresql import PostgreSQL
from tests.servers.target import running_target

pytestmark = pytest.mark.postgresql

SERVICE = "from scenarios.library.services import register_service; register_service('target', {url!r})"
SEEN = """
import json
from scenarios.models import Fault, Run
run = Run.objects.get()
faults = list(Fault.objects.outstanding().values_list("state", flat=True))
kinds = list(run.events.values_list("kind", flat=True))
print(json.dumps([run.state, faults, kinds]))
"""


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def system(request: pytest.FixtureRequest, tmp_path: Path, postgresql_server: PostgreSQL) -> Coordinator:
    return Coordinator(tmp_path, DATABASE_URL=postgresql_server.new_database(request.param))


def test_a_database_in_another_encoding_than_utf_8_is_not_migrated(system: Coordinator) -> None:
    for words in (["migrate"], ["check", "--database", "default"]):
        command = [sys.executable, "manage.py", *words]
        refused = subprocess.run(
            command, cwd=PROJECT, env=system.environment, capture_output=True, text=True, check=False
        )
        assert refused.returncode == 1
        assert "scenarios.E003" in refused.stderr
        assert "--encoding=UTF8" in refused.stderr


def test_database_with_a_limited_encoding_is_not_ready_and_hides_no_fault(
    tmp_path: Path, system: Coordinator
) -> None:
    with (
        running_target() as target,
        coordinator(tmp_path, DATABASE_URL=system.environment["DATABASE_URL"]) as installed,
    ):
        installed.manage("migrate", "--skip-checks", "--verbosity=0")
        installed.manage("shell", "--no-imports", "-c", SERVICE.format(url=target.url))
        installed.start_web()
        assert "encoding" in problem_of_the_database(installed)
        worker = installed.start_worker()
        installed.manage("scenario", "run", "tests/servers/long-fault.yaml", "--detach")
        wait_for(lambda: target.active, what="the fault is injected")
        target.refuse_undo = True
        worker.send_signal(signal.SIGTERM)
        worker.wait(300)
        state, faults, kinds = json.loads(installed.manage("shell", "--no-imports", "-c", SEEN))
    assert (state, faults) == ("finished", ["outstanding"])
    assert "fault_undo_failed" in kinds
    assert kinds[-1] == "run_finished"


def problem_of_the_database(installed: Coordinator) -> str:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{installed.port}/api/v1/ready")
    except urllib.error.HTTPError as error:
        with error:
            problem: str = json.load(error)["parts"]["database"]["problem"]
            return problem
    raise AssertionError("it says that it is ready")
