"""`scenario --server URL`: the same verbs against a coordinator elsewhere, by its API, without a database."""

import os
import shlex
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
from tests.servers.documented import Page
from tests.servers.loopback import wait_for
from tests.servers.target import Target, running_target

pytestmark = [
    pytest.mark.skipif(
        find_spec("scenarios.access.tokens") is None, reason="this version's API has no tokens"
    ),
]

GUIDE = Page(PROJECT / "docs" / "client.md")
OUTCOMES = {0, 1, 3, 4, 5, 6}
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
SCOPES = ("read", "edit", "run", "stop", "schedule", "webhooks", "global-stop")
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
    assert (asked.code, "There is no scenario 'exchange-latncy'" in asked.err) == (7, True)


def test_a_run_is_stopped_by_the_beginning_of_its_id(scenario: Elsewhere, target: Target) -> None:
    run_id = scenario("run", LONG_FAULT, "--detach").out.strip()
    wait_for(lambda: target.active, what="the fault is injected")
    stopped = scenario("stop", run_id[:8])
    assert (stopped.code, "ABORTED" in stopped.out) == (0, True), stopped.err
    assert target.active == 0
    assert "has already ended: aborted" in scenario("stop", run_id).out


def test_a_run_that_takes_too_long_is_stopped_but_one_that_is_only_followed_goes_on(
    scenario: Elsewhere, target: Target
) -> None:
    run_id = scenario("run", LONG_FAULT, "--detach").out.strip()
    followed = scenario("follow", run_id, "--timeout", "1s")
    assert (followed.code, "has not ended within 1s" in followed.err) == (124, True), followed.err
    assert f"The run continues; stop it with 'manage.py scenario stop {run_id[:8]} --server " in followed.err
    late = scenario("run", LONG_FAULT, "--timeout", "1s")  # it waits for the service of the first one
    assert (late.code, "ABORTED" in late.out) == (4, True), late.err
    assert "The run has not ended within 1s." in late.err
    assert "it had not ended within the '--timeout' of 1s" in late.out
    assert scenario("stop", run_id).code == 0
    assert target.active == 0


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
    assert (unknown.code, "There is no schedule 'weekly'" in unknown.err) == (7, True)


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
    assert refused.returncode == 8
    assert "Set the token in TEST_COORDINATOR_TOKEN, or in the profile." in refused.stderr
    assert "nobody-knows" not in refused.stdout + refused.stderr


class Stranger:
    """The client as somebody installs it who has nothing else: its wheel in an empty environment."""

    def __init__(self, folder: Path, system: Coordinator, token: str) -> None:
        self.folder = folder
        self._bin = folder / "venv" / "bin"
        self.environment = {
            "PATH": f"{self._bin}:/usr/bin:/bin",
            "HOME": str(folder),
            "TEST_COORDINATOR_SERVER": f"http://127.0.0.1:{system.port}",
            "TEST_COORDINATOR_TOKEN": token,
        }
        build = ("build", "--wheel", "--out-dir", str(folder), str(PROJECT / "coordinator_client"))
        self._uv(*build)
        self._uv("venv", "--python", sys.executable, str(folder / "venv"))
        [wheel] = folder.glob("*.whl")
        self.install(str(wheel))

    def install(self, *packages: str) -> None:
        self._uv("pip", "install", "--python", str(self._bin / "python"), *packages)

    def _uv(self, *words: str) -> None:
        # The real home: its cache has the packages that other tests have installed.
        command = [sys.executable, "-m", "uv", "--system-certs", "--quiet", *words]
        subprocess.run(command, cwd=PROJECT, check=True, timeout=600)

    def start(self, *words: str, cwd: Path = PROJECT) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(self._bin / words[0]), *words[1:]],
            cwd=cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str, cwd: Path = PROJECT) -> tuple[int, str]:
        with self.start(*words, cwd=cwd) as process:
            output, _ = process.communicate(timeout=300)
        return process.returncode, output


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory, system: Coordinator, token: str) -> Stranger:
    return Stranger(tmp_path_factory.mktemp("stranger"), system, token)


# What the guide's programs run, against the target of these tests.
WITH_DELAY = SHORT.replace("STATUS", "200").replace(
    "spec:\n", "spec:\n  variables: {delay_ms: {type: integer, default: 100}}\n"
)


def test_guide_of_the_client_works_in_an_empty_environment(stranger: Stranger, target: Target) -> None:
    target.refuse_undo = False
    lines = GUIDE.commands()
    assert len(lines) > 10
    for line in lines:
        code, output = stranger.run(*shlex.split(line))
        assert code == 0, (line, output)
        if "--detach" in line:
            assert stranger.run("test-coordinator", "follow", output.split()[0])[0] in OUTCOMES
    for name in ("exchange-latency", "exchange-errors"):
        file = stranger.folder / f"{name}.yaml"
        file.write_text(WITH_DELAY.replace("{name: short}", f"{{name: {name}}}"))
        assert stranger.run("test-coordinator", "import", str(file))[0] == 0
    GUIDE.save_files(stranger.folder, **{'tag="demo"': ""})
    said = run_program(stranger, "check.py")
    assert "fault_undone break the target" in said
    assert "\npassed " in said
    assert said.endswith("\nTrue 0\n")
    said = run_program(stranger, "refused.py")
    assert said.startswith("invalid_variables {'delay_ms': ")
    assert "\nnot_found There is no scenario 'unknown'." in said
    stranger.install("anyio", "pytest")
    assert set(run_program(stranger, "check_both.py").splitlines()) == {
        "exchange-latency passed",
        "exchange-errors passed",
    }
    code, said = stranger.run("pytest", "-q", "test_resilience.py", cwd=stranger.folder)
    assert (code, "1 passed" in said) == (0, True), said


def run_program(stranger: Stranger, name: str) -> str:
    code, said = stranger.run("python", name, cwd=stranger.folder)
    assert code == 0, said
    return said


def test_ctrl_c_while_waiting_says_that_the_run_is_stopped(stranger: Stranger, target: Target) -> None:
    target.refuse_undo = False
    with stranger.start("test-coordinator", "run", str(LONG_FAULT), "--wait") as waiting:
        wait_for(lambda: target.active, what="the fault is injected")
        waiting.send_signal(signal.SIGINT)
        said, _ = waiting.communicate(timeout=300)
    assert waiting.returncode == 4, said
    assert "Stopping the run and undoing its faults. Press Ctrl-C again to exit without waiting." in said
    assert "ABORTED" in said
    assert target.active == 0
