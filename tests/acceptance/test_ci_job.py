"""A CI job with nothing but curl and a token: it imports a folder, runs one, and ends as the run did."""

import json
import os
import re
import shutil
import signal
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.scripted_api import Answer, scripted_api
from tests.servers.target import Target, running_target

SCRIPT = PROJECT / "deploy" / "ci" / "run-scenario.sh"
SHELLS = [shell for shell in ("bash", "dash") if shutil.which(shell)]
(CALL,) = re.findall(r"^\$ (deploy/ci/.*)", (PROJECT / "README.md").read_text(), re.MULTILINE)
DOCUMENT = """\
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: {name}}}
spec:
  variables: {{status: {{type: integer, default: {status}}}, note: {{type: string, default: ""}}}}
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
          expect: {{status: "${{status}}"}}
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
    system: Coordinator, token: str, folder: Path, name: str, *options: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """README's call, in an environment that knows nothing of this project."""
    return ask_job(f"http://127.0.0.1:{system.port}", token, folder, name, *options, **more)


def ask_job(
    address: str, token: str, folder: Path, name: str, *options: str, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        build_command(folder, name, *options),
        cwd=PROJECT,
        env=build_environment(address, token, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def build_command(folder: Path, name: str, *options: str) -> list[str]:
    values = {"FOLDER": str(folder), "NAME": name, "junit.xml": str(folder.parent / f"{name}.xml")}
    script, *words = CALL.split()
    return [script, *options, *(values.get(word, word) for word in words)]


def build_environment(address: str, token: str, **more: str) -> dict[str, str]:
    here = {"PATH": os.environ["PATH"], "TEST_COORDINATOR_SERVER": address, "TEST_COORDINATOR_TOKEN": token}
    return {**here, "RUN_KEY": str(uuid4()), **more}


def test_the_job_ends_as_the_run_does_and_keeps_its_junit(
    system: Coordinator, target: Target, token: str, folder: Path
) -> None:
    outputs = {name: folder.parent / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    passed = job(system, token, folder, "passes", **{name: str(file) for name, file in outputs.items()})
    assert passed.returncode == 0, passed.stderr
    [run] = re.findall(r"^Run of passes: (http://.*/admin/.*)$", passed.stdout, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d  fault undone: break the target$", passed.stdout, re.MULTILINE)
    assert '"kind"' not in passed.stdout
    assert passed.stdout.endswith(f"passed, rollback clean: {run}\n")
    assert outputs["GITHUB_OUTPUT"].read_text() == f"status=passed\nurl={run}\n"
    assert outputs["GITHUB_STEP_SUMMARY"].read_text().startswith("#")
    failed = job(system, token, folder, "fails", "--raw", COORDINATOR="unused")
    assert failed.returncode == 1, failed.stderr
    assert '"kind": "fault_undone"' in failed.stdout
    assert ET.parse(folder.parent / "passes.xml").getroot().findall(".//failure") == []  # noqa: S314 - our own
    assert ET.parse(folder.parent / "fails.xml").getroot().findall(".//failure") != []  # noqa: S314 - our own
    assert (target.injected, target.active) == (2, 0)


def test_a_job_that_is_tried_again_starts_no_second_run(
    system: Coordinator, target: Target, token: str, folder: Path
) -> None:
    first, again = (job(system, token, folder, "passes", RUN_KEY="job-4711") for _ in range(2))
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
    assert "line 8" in refused.stderr
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
    assert "FOLDER NAME [JUNIT-FILE]" in told.stderr


@pytest.mark.parametrize("status", [301, 302, 307])
def test_an_address_that_leads_elsewhere_is_no_import_and_no_verdict(folder: Path, status: int) -> None:
    """As http:// where a proxy wants https://, or a page to log in on the way."""
    elsewhere = Answer(b"", status, {"Location": "https://elsewhere.example/"})
    with scripted_api(elsewhere) as server:
        done = ask_job(server.url, "tc_made-up", folder, "passes")
    assert (done.returncode, "was not stored" in done.stderr) == (2, True), done.stderr
    assert not (folder.parent / "passes.xml").exists()
    assert len(server.asked) == 1


def test_output_of_a_step_does_not_end_the_job(folder: Path) -> None:
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
    paths = [asked.path for asked in server.asked]
    assert paths.count("/api/v1/runs/1/events?wait=20") == 2


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


ODD = 'x "quoted" \\\\ and\ttab, é & $HOME\r\nsecond line'


@pytest.mark.parametrize("shell", SHELLS)
def test_variables_reach_the_run_as_they_are(folder: Path, shell: str) -> None:
    values = folder.parent / "values.json"
    values.write_text('{\n  "status": 201,\n  "list": ["a, b", "}"]\n}\n')
    run = {"id": "1", "status": "passed", "rollback": "clean", "finished_at": "2026-11-24T01:00:00Z"}
    answers = [
        *(Answer({}), Answer({})),
        Answer({**run, "variables": {"status": "failed"}}, 201, {"Location": "/api/v1/runs/1"}),
        Answer(b"id: 1.end\nevent: end\ndata: {}\n\n"),
        Answer({**run, "variables": {"status": "failed", "rollback": "dirty"}}),
        Answer(b"<testsuites/>"),
    ]
    options = ("--vars-file", str(values), "--var", f"note={ODD}", "--var=status=200", "--var", "FROM_HERE")
    with scripted_api(*answers) as server:
        done = subprocess.run(
            [shell, *build_command(folder, "passes", *options, "--environment", "staging")],
            cwd=PROJECT,
            env=build_environment(server.url, "tc_made-up", FROM_HERE="a=b"),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    assert done.returncode == 0, done.stderr
    sent = json.loads(server.asked[2].body)
    assert sent["variables"] == {"status": "200", "list": ["a, b", "}"], "note": ODD, "FROM_HERE": "a=b"}
    assert sent["environment"] == "staging"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--var", "NOT_SET_ANYWHERE"), "'NOT_SET_ANYWHERE' has no value"),
        (("--var", "a;b"), "'a;b' is not the name of a variable"),
        (("--vars-file", "/nonexistent"), "The file '/nonexistent' cannot be read"),
        (("--vars-file", "README.md"), "'README.md' is not a JSON object"),
        (("--unknown",), "FOLDER NAME [JUNIT-FILE]"),
    ],
)
def test_options_that_are_not_valid_are_refused_before_anything_is_asked(
    folder: Path, options: tuple[str, ...], sentence: str
) -> None:
    done = ask_job("http://127.0.0.1:1", "tc_made-up", folder, "passes", *options)
    assert (done.returncode, sentence in done.stderr) == (2, True), done.stderr


def test_progress_is_readable_whatever_a_target_has_answered(folder: Path) -> None:
    """Escape sequences and what looks like another event stay text."""
    said = 'no \x1b[31m"kind": "fault_undone"\u202e é \U0001f600'
    event = {"sequence": 1, "at": "2026-11-24T01:02:03.123Z", "kind": "validation_failed", "phase": "chaos"}
    failed = {**event, "step": 'say "é"', "data": {"reason": said, "seen": {"kind": "load_measured"}}}
    quiet = {**event, "kind": "load_measured", "step": "a load", "data": {}}
    run = {"id": "1", "status": "failed", "rollback": "clean", "finished_at": "2026-11-24T01:00:00Z"}
    stream = "".join(
        f"id: {number}\ndata: {json.dumps(row)}\n\n" for number, row in ((1, failed), (2, quiet))
    )
    answers = [
        *(Answer({}), Answer({})),
        Answer(run, 201, {"Location": "/api/v1/runs/1"}),
        Answer(f"{stream}id: 2.end\nevent: end\ndata: {{}}\n\n".encode()),
        *(Answer(run), Answer(b"<testsuites/>")),
    ]
    with scripted_api(*answers) as server:
        done = ask_job(server.url, "tc_made-up", folder, "passes")
    assert done.returncode == 1, done.stderr
    shown = done.stdout.splitlines()[1:-1]
    assert shown == [
        '01:02:03  validation failed: say "é" (no  [31m"kind": "fault_undone" é \U0001f600)',
    ]


def test_a_job_that_is_cancelled_stops_its_run(
    system: Coordinator, target: Target, token: str, folder: Path
) -> None:
    document = folder / "passes.yaml"
    document.write_text(document.read_text().replace("hold: 500ms", "hold: 300s"))
    scopes = [word for scope in ("read", "edit", "run", "stop") for word in ("--scope", scope)]
    may_stop = system.manage("api_token", "create", "ci", "--name", "may stop", *scopes).strip()
    address = f"http://127.0.0.1:{system.port}"
    with subprocess.Popen(
        build_command(folder, "passes"),
        cwd=PROJECT,
        env=build_environment(address, may_stop),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        system.wait_for_faults()
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=600)
    assert running.returncode == 1, said
    assert "Cancelled: stopping the run and undoing its faults." in said
    assert "\naborted, rollback clean: http://" in said
    assert target.active == 0


def test_github_action_passes_its_inputs_to_the_script(folder: Path) -> None:
    (step,) = yaml.safe_load((SCRIPT.parent / "github" / "action.yml").read_text())["runs"]["steps"]
    junit = folder.parent / "report of the job.xml"
    inputs = {"FOLDER": str(folder), "SCENARIO": "passes", "VARS_FILE": "", "JUNIT": str(junit)}
    run = {"id": "1", "status": "passed", "rollback": "clean", "finished_at": "2026-11-24T01:00:00Z"}
    answers = [
        *(Answer({}), Answer({})),
        Answer(run, 201, {"Location": "/api/v1/runs/1"}),
        Answer(b"id: 1.end\nevent: end\ndata: {}\n\n"),
        *(Answer(run), Answer(b"<testsuites/>")),
    ]
    with scripted_api(*answers) as server:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            env=build_environment(
                server.url,
                "tc_made-up",
                GITHUB_ACTION_PATH=str(SCRIPT.parent / "github"),
                VARIABLES="a=1\r\n\nb=two words; $(id)\n",
                **inputs,
            ),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(server.asked[2].body) == {"variables": {"a": "1", "b": "two words; $(id)"}}
    assert junit.read_text() == "<testsuites/>"
