"""A CI job with nothing but curl and a token: it imports a folder, runs one, and ends as the run did."""

import os
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.scripted_api import Answer, scripted_api
from tests.servers.target import Target, running_target

SCRIPT = PROJECT / "deploy" / "ci" / "run-scenario.sh"
(CALL,) = re.findall(r"^\$ (deploy/ci/.*)", (PROJECT / "README.md").read_text(), re.MULTILINE)
DOCUMENT = """\
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: {name}}}
spec:
  phases:
    - name: chaos
      hold: 500ms
      actions:
        - name: break the target
          do: {{http: {{service: target, method: POST, path: /fault}}}}
          undo: {{http: {{service: target, method: DELETE, path: /fault}}}}
      validations:
        - name: it still says that it is healthy
          probe: {{http: {{service: target, path: /health}}}}
          expect: {{status: {status}}}
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Target]:
    with running_target() as target:
        yield target


@pytest.fixture
def target(running: Target) -> Target:
    running.injected = 0
    return running


@pytest.fixture(scope="module")
def system(
    installation: dict[str, str], tmp_path_factory: pytest.TempPathFactory, running: Target
) -> Iterator[Coordinator]:
    data, password = tmp_path_factory.mktemp("data"), "made-up"
    with coordinator(data, DJANGO_SUPERUSER_PASSWORD=password, **installation) as system:
        system.set_up(target=running.url)
        system.manage("createsuperuser", "--noinput", "--username", "ci", "--email", "ci@example.com")
        system.start_watchdog()
        system.start_worker()
        system.start_web()
        yield system


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    for name, status in (("passes", 200), ("fails", 503)):
        (folder / f"{name}.yaml").write_text(DOCUMENT.format(name=name, status=status))
    return folder


@pytest.fixture(scope="module")
def token(system: Coordinator) -> str:
    scopes = [word for scope in ("read", "edit", "run") for word in ("--scope", scope)]
    return system.manage("api_token", "create", "ci", "--name", "the nightly build", *scopes).strip()


def job(
    system: Coordinator, token: str, folder: Path, name: str, key: str = ""
) -> subprocess.CompletedProcess[str]:
    """README's call, in an environment that knows nothing of this project."""
    return ask_job(f"http://127.0.0.1:{system.port}", token, folder, name, key)


def ask_job(
    address: str, token: str, folder: Path, name: str, key: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "COORDINATOR": address,
        "TEST_COORDINATOR_TOKEN": token,
        "RUN_KEY": key or str(uuid4()),
    }
    values = {"FOLDER": str(folder), "NAME": name, "junit.xml": str(folder.parent / f"{name}.xml")}
    command = [values.get(word, word) for word in CALL.split()]
    return subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_job_ends_as_the_run_does_and_keeps_its_junit(
    system: Coordinator, target: Target, token: str, folder: Path
) -> None:
    passed = job(system, token, folder, "passes")
    assert passed.returncode == 0, passed.stderr
    assert '"kind": "fault_undone"' in passed.stdout
    failed = job(system, token, folder, "fails")
    assert failed.returncode == 1, failed.stderr
    assert ET.parse(folder.parent / "passes.xml").getroot().findall(".//failure") == []  # noqa: S314 - our own
    assert ET.parse(folder.parent / "fails.xml").getroot().findall(".//failure") != []  # noqa: S314 - our own
    assert (target.injected, target.active) == (2, 0)


def test_a_job_that_is_tried_again_starts_no_second_run(
    system: Coordinator, target: Target, token: str, folder: Path
) -> None:
    first, again = (job(system, token, folder, "passes", "job-4711") for _ in range(2))
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert target.injected == 1


def test_a_mistake_in_a_document_is_reported_with_its_line_and_nothing_runs(
    system: Coordinator, target: Target, token: str, folder: Path
) -> None:
    document = folder / "passes.yaml"
    document.write_text(document.read_text().replace("hold:", "hald:"))
    refused = job(system, token, folder, "fails")
    assert refused.returncode == 2
    assert "did you mean 'hold'?" in refused.stderr
    assert '"line": 7' in refused.stderr
    assert target.injected == 0


def test_without_a_token_that_is_known_nothing_is_done(
    system: Coordinator, target: Target, folder: Path
) -> None:
    refused = job(system, "tc_made-up", folder, "passes")
    assert refused.returncode == 2
    assert "401" in refused.stderr
    assert target.injected == 0


def test_called_without_what_it_needs_it_says_how() -> None:
    told = subprocess.run(
        [SCRIPT], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert "run-scenario.sh FOLDER NAME [JUNIT-FILE]" in told.stderr


@pytest.mark.parametrize("status", [301, 302, 307])
def test_an_address_that_leads_elsewhere_is_no_import_and_no_verdict(folder: Path, status: int) -> None:
    """As http:// where a proxy wants https://, or a page to log in on the way."""
    elsewhere = Answer(b"", status, {"Location": "https://elsewhere.example/"})
    with scripted_api(elsewhere) as server:
        done = ask_job(server.url, "tc_made-up", folder, "passes")
    assert (done.returncode, "was not imported" in done.stderr) == (2, True), done.stderr
    assert not (folder.parent / "passes.xml").exists()
    assert len(server.asked) == 1


def test_what_a_step_has_answered_does_not_end_the_job_before_the_run(folder: Path) -> None:
    said = 'id: 1\ndata: {"said": "event: end"}\n\n'
    run = {"id": "1", "status": "running", "rollback": None, "finished_at": None}
    answers = [
        *(Answer({}), Answer({})),
        Answer(run, 201, {"Location": "/api/v1/runs/1"}),
        Answer(said.encode()),
        Answer(b'event: end\ndata: {"status": "passed"}\n\n'),
        Answer({**run, "status": "passed", "rollback": "clean", "finished_at": "2026-11-24T01:00:00Z"}),
        Answer(b"<testsuites/>"),
    ]
    with scripted_api(*answers) as server:
        done = ask_job(server.url, "tc_made-up", folder, "passes")
    assert done.returncode == 0, done.stderr
    assert [asked.path for asked in server.asked].count("/api/v1/runs/1/events?wait=20") == 2


def test_a_coordinator_that_cannot_be_asked_any_more_gives_no_verdict(folder: Path) -> None:
    created = Answer({"id": "1"}, 201, {"Location": "/api/v1/runs/1"})
    with scripted_api(Answer({}), Answer({}), created, Answer(status=404)) as server:
        done = ask_job(server.url, "tc_made-up", folder, "passes")
    assert (done.returncode, "cannot be asked how it ended" in done.stderr) == (2, True), done.stderr


def test_a_run_that_has_not_ended_is_no_verdict(folder: Path) -> None:
    run = {"id": "1", "status": "running", "rollback": None, "finished_at": None}
    created = Answer(run, 201, {"Location": "/api/v1/runs/1"})
    answers = [Answer({}), Answer({}), created, Answer(status=404), Answer(run)]
    with scripted_api(*answers) as server:
        done = ask_job(server.url, "tc_made-up", folder, "passes")
    assert (done.returncode, "has not ended" in done.stderr) == (2, True), done.stderr
