"""`scenario --server URL`: the same verbs against a coordinator elsewhere, by its API, without a database."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.command_line import MAKE_SCHEDULE, CommandLine, Said
from tests.servers.coordinator import PROJECT, Coordinator, coordinator, find_holder, processes_with
from tests.servers.loopback import wait_for
from tests.servers.target import Target, running_target

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        find_spec("scenarios.access.tokens") is None, reason="this version's API has no tokens"
    ),
]

LONG_FAULT = PROJECT / "tests" / "servers" / "long-fault.yaml"
SHORT = """apiVersion: coordinator/v1
kind: Scenario
metadata: {name: short}
spec:
  phases:
    - name: chaos
      actions:
        - name: break the target
          do: {http: {service: target, method: POST, path: /fault}}
          undo: {http: {service: target, method: DELETE, path: /fault}}
      validations:
        - name: it answers
          probe: {http: {service: target, path: /health}}
          expect: {status: STATUS}
"""
SCOPES = ("read", "edit", "run", "stop", "schedule", "global-stop")
MAKE_ADMIN = "from django.contrib.auth.models import User; User.objects.create_superuser('ci')"


class Elsewhere:
    """The command line with an address and a token. These tests may ask no database of their own: pytest
    would refuse it.
    """

    def __init__(self, url: str, command_line: CommandLine) -> None:
        self._url = url
        self._command_line = command_line

    def __call__(self, *words: object) -> Said:
        return self._command_line(*words, "--server", self._url)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with running_target() as running:
        yield running


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Iterator[Coordinator]:
    with coordinator(tmp_path_factory.mktemp("there")) as installed:
        installed.set_up(target=target.url)
        installed.manage("shell", "--no-imports", "-c", MAKE_ADMIN)
        installed.start_worker()
        installed.start_watchdog()
        installed.start_web()
        yield installed


@pytest.fixture(scope="module")
def token(system: Coordinator) -> str:
    scopes = [word for scope in SCOPES for word in ("--scope", scope)]
    return system.manage("api_token", "create", "ci", "--name", "ci", *scopes).strip()


@pytest.fixture
def scenario(
    system: Coordinator, token: str, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> Elsewhere:
    settings.TEST_COORDINATOR_TOKEN = token
    return Elsewhere(f"http://127.0.0.1:{system.port}", CommandLine(capsys))


def test_a_folder_is_checked_imported_run_followed_reported_and_pruned(
    scenario: Elsewhere, tmp_path: Path
) -> None:
    (tmp_path / "short.yaml").write_text(SHORT.replace("STATUS", "200"))
    checked = scenario("import", tmp_path, "--check")
    assert (checked.code, "short: new" in checked.out) == (1, True), checked.err
    assert scenario("import", tmp_path).code == 0
    exported = scenario("export", "short")
    assert exported.out == (tmp_path / "short.yaml").read_text()
    ran = scenario("run", "short", "--json", "--junit", tmp_path / "junit.xml")
    assert ran.code == 0, ran.err
    run_id = ran.json["id"]
    assert "<testsuites>" in (tmp_path / "junit.xml").read_text()
    followed = scenario("follow", run_id[:13])
    assert "fault_undone" in followed.out
    assert followed.out.splitlines()[-1].startswith("PASSED")
    (tmp_path / "short.yaml").write_text(SHORT.replace("STATUS", "201"))
    assert "+          expect: {status: 201}" in scenario("import", tmp_path, "--check").out
    pruned = scenario("import", tmp_path, "--prune")
    assert "exchange-latency: removed" in pruned.out, pruned.err
    assert [item["name"] for item in scenario("list", "--json").json["items"]] == ["short"]


def test_a_file_that_fails_fails_the_command_and_is_not_stored(scenario: Elsewhere, tmp_path: Path) -> None:
    file = tmp_path / "failing.yaml"
    file.write_text(SHORT.replace("STATUS", "201").replace("short", "failing"))
    failed = scenario("run", file)
    assert failed.code == 1, failed.err
    assert "↩ undone: break the target" in failed.out
    runs = scenario("runs", "--status", "failed", "--json").json["items"]
    assert runs[0]["scenario"] == "failing"
    assert runs[0]["origin"] == "api"


def test_mistakes_have_their_line_and_names_what_was_meant(scenario: Elsewhere, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(SHORT.replace("method: POST", "metod: POST").replace("STATUS", "200"))
    refused = scenario("validate", file)
    assert refused.code == 2
    assert f"{file}:9:" in refused.out
    assert "did you mean 'method'?" in refused.out
    assert scenario("run", file).code == 2
    asked = scenario("run", "exchange-latncy", "--var", "x=1")
    assert (asked.code, "There is no scenario 'exchange-latncy'" in asked.err) == (2, True)


def test_a_run_is_stopped_by_the_beginning_of_its_id(scenario: Elsewhere, target: Target) -> None:
    run_id = scenario("run", LONG_FAULT, "--detach").out.strip()
    wait_for(lambda: target.active, what="the fault is injected")
    stopped = scenario("stop", run_id[:8])
    assert (stopped.code, "ABORTED" in stopped.out) == (0, True), stopped.err
    assert target.active == 0
    assert "has already ended: aborted" in scenario("stop", run_id).out


def test_a_fault_that_stayed_is_undone_by_the_watchdog_there(
    scenario: Elsewhere, system: Coordinator, target: Target
) -> None:
    run_id = scenario("run", LONG_FAULT, "--detach").out.strip()
    wait_for(lambda: target.active, what="the fault is injected")
    assert "is running" in scenario("undo", run_id).err
    target.refuse_undo = True
    worker = find_holder(system.data, "db_worker")
    os.kill(worker, signal.SIGTERM)
    wait_for(lambda: worker not in processes_with(system.data), what="the worker ends")
    system.start_worker("next-worker")
    assert "break the target" in scenario("faults", "--outstanding").out
    refused = scenario("undo", run_id)
    assert (refused.code, "is still injected" in refused.out) == (3, True), refused.err
    target.refuse_undo = False
    undone = scenario("undo", run_id)
    assert (undone.code, undone.out) == (0, "Nothing is left injected.\n"), undone.err
    assert target.active == 0


def test_the_global_stop_is_pulled_and_released(scenario: Elsewhere) -> None:
    assert "Pulled the global stop; no run was active." in scenario("stop", "--all", "--reason", "a test").out
    assert scenario("release").out == "Runs may begin again.\n"
    assert scenario("release").out == "The global stop was not pulled; nothing to release.\n"


def test_a_schedule_is_listed_paused_and_resumed(scenario: Elsewhere, system: Coordinator) -> None:
    system.manage("shell", "--no-imports", "-c", MAKE_SCHEDULE)
    assert scenario("schedules", "--json").json["items"][0]["cron"] == "30 2 * * *"
    assert "is paused" in scenario("pause", "nightly").out
    assert "paused" in scenario("schedules").out
    assert "is resumed; its next time is" in scenario("resume", "nightly").out
    unknown = scenario("pause", "weekly")
    assert (unknown.code, "There is no schedule 'weekly'" in unknown.err) == (2, True)


def test_a_program_without_a_database_shows_a_token_that_is_unknown_to_nobody(
    system: Coordinator, tmp_path: Path
) -> None:
    refused = subprocess.run(
        [sys.executable, "manage.py", "scenario", "list", "--server", f"http://127.0.0.1:{system.port}"],
        cwd=PROJECT,
        env={
            **system.environment,
            "DATA_DIR": str(tmp_path),
            "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
            "TEST_COORDINATOR_TOKEN": "tc_nobody-knows-this-one",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert refused.returncode == 2
    assert "Set the token in TEST_COORDINATOR_TOKEN, or in the profile." in refused.stderr
    assert "nobody-knows" not in refused.stdout + refused.stderr
