"""Whole runs with steps on the coordinator's own host, and what the database keeps of them."""

import base64
import json
import os
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from django.core import serializers
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.domain.errors import InvalidDocument
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.drivers import processes
from scenarios.drivers.documents import read_document
from scenarios.language.document import build_plan
from scenarios.models import Event, Fault, Run
from scenarios.ports import Event as PortEvent
from scenarios.runs import commands as run_commands
from scenarios.runs import executor, leases, ledger, recovery

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = 'pa"ss & word/+é'
DOCUMENT = r"""
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: on-this-host}
spec:
  phases:
    - name: chaos
      actions:
        - name: break it
          do: &tell
            command:
              run: [sh, -c, 'echo "$TOKEN"; printf %s "x$TOKEN" | base64; echo "$TOKEN" >&2; exit $CODE']
              env: {TOKEN: "${secret:TOKEN}", CODE: 0}
          undo: *tell
      validations:
        - name: it tells
          probe: *tell
          expect: {stdout: nothing of the kind}
"""


@pytest.fixture(autouse=True)
def site(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ALLOWED_COMMANDS = ("sh",)
    settings.ALLOWED_COMMAND_VARIABLES = {"sh": {"TOKEN", "CODE"}}
    monkeypatch.setenv(f"{settings.SCENARIO_SECRET_PREFIX}TOKEN", SECRET)


def carried_out(source: str) -> Run:
    run = run_commands.start_run(source, {}, origin="cli")
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    return ended


def everything_kept() -> str:
    rows = [*Run.objects.all(), *Event.objects.all(), *Fault.objects.all()]
    return str(serializers.serialize("json", rows, ensure_ascii=False))


FAILING = DOCUMENT.replace("CODE: 0", "CODE: 3").replace("undo: *tell", "undo: {wait: {duration: 0s}}")


@pytest.mark.parametrize(("source", "outcome"), [(DOCUMENT, Outcome.FAILED), (FAILING, Outcome.ERRORED)])
def test_a_secret_that_a_command_echoes_is_nowhere_in_the_database(
    source: str, outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    assert carried_out(source).outcome == outcome
    kept = everything_kept() + caplog.text
    assert "***" in kept
    encoded = base64.b64encode(b"x" + SECRET.encode()).decode()[4:-4]
    for trace in (SECRET, json.dumps(SECRET)[1:-1], quote(SECRET), encoded, "ss & word"):
        assert trace not in kept
    assert "${secret:TOKEN}" in kept  # in the document, and in the ledger's undo


def test_a_fault_by_a_command_is_undone_by_a_command() -> None:
    run = carried_out(DOCUMENT)
    assert run.rollback == Rollback.CLEAN
    kinds = list(run.events.values_list("kind", flat=True))
    assert kinds.index("fault_injected") < kinds.index("fault_undone")


def test_a_run_of_what_is_no_longer_allowed_ends_errored_and_injects_nothing(settings: Settings) -> None:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    settings.ALLOWED_COMMANDS = ()
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    assert ended.outcome == Outcome.ERRORED
    assert "'sh' is not allowed on this site" in ended.reason
    assert not Fault.objects.exists()


def test_steps_that_the_site_forbids_are_refused_at_the_start(settings: Settings) -> None:
    settings.ALLOWED_COMMANDS = ("true",)
    with pytest.raises(InvalidDocument, match="'sh' is not allowed on this site"):
        run_commands.start_run(DOCUMENT, {}, origin="cli")


AHEAD = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: ahead}
spec:
  phases:
    - name: early
      actions:
        - name: leak
          do: {command: {run: [sh, -c, "echo leaked Zebra-42-crossing"]}}
          undo: {command: {run: [sh, -c, "echo leaked Zebra-42-crossing >&2; exit 1"]}}
    - name: late
      actions: [{name: log in, do: {command: {run: [sh, -c, "true"], stdin: "${secret:LATER}"}}}]
"""


def test_a_secret_in_a_file_is_redacted_before_the_step_that_uses_it_has_run(
    settings: Settings, tmp_path: Path
) -> None:
    settings.SCENARIO_SECRET_DIR = tmp_path
    (tmp_path / "LATER").write_text("Zebra-42-crossing\n")
    run = run_commands.start_run(AHEAD.replace("; exit 1", ""), {}, origin="cli")
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    assert ended.outcome == Outcome.PASSED
    assert "leaked ***" in str(list(Event.objects.values_list("detail", flat=True)))


def test_the_watchdog_s_undo_knows_the_secrets_of_the_whole_document(
    settings: Settings, tmp_path: Path
) -> None:
    settings.SCENARIO_SECRET_DIR = tmp_path
    (tmp_path / "LATER").write_text("Zebra-42-crossing\n")
    run = run_commands.start_run(AHEAD, {}, origin="cli")
    claim = leases.claim_run(run.id, 1, worker="dead:1")
    assert claim is not None
    fault = next(iter(build_plan(read_document(AHEAD), {}).phases)).actions[0]
    assert fault.undo is not None
    opened = PortEvent(EventKind.FAULT_INJECTING, timezone.now(), "early", "leak")
    ledger.open_fault(claim, opened, do=fault.do, undo=fault.undo, timeout=5)
    (left,) = recovery.clean_up_after("dead:1")
    assert left.rollback == Rollback.DIRTY
    assert "leaked ***" in Fault.objects.get().reason


def test_a_run_whose_secret_is_missing_ends_before_it_breaks_anything() -> None:
    run = run_commands.start_run(AHEAD, {}, origin="cli")
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    assert (ended.outcome, ended.rollback) == (Outcome.ERRORED, Rollback.CLEAN)
    assert "the secret 'LATER' is missing" in ended.reason
    assert not Fault.objects.exists()


def shut(settings: Settings, what: str) -> None:
    """Takes away, after the injection, what the undo needs."""
    if what == "allowed command":
        settings.ALLOWED_COMMANDS = ()
    elif what == "secret":
        settings.SCENARIO_SECRET_PREFIX = "ELSEWHERE_"
    else:
        settings.SCENARIO_DRIVERS = [path for path in settings.SCENARIO_DRIVERS if "command" not in path]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("allowed command", "ALLOWED_COMMANDS names none"),
        ("secret", "the secret 'TOKEN' is missing"),
        ("driver", "there is no driver 'command'"),
    ],
)
def test_an_undo_whose_settings_were_removed_says_so_and_succeeds_when_they_are_back(
    settings: Settings, what: str, reason: str
) -> None:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    claim = leases.claim_run(run.id, 1, worker="dead:1")
    assert claim is not None
    fault = build_plan(read_document(DOCUMENT), {}).phases[0].actions[0]
    assert fault.undo is not None
    opened = PortEvent(EventKind.FAULT_INJECTING, timezone.now(), "chaos", "break it")
    ledger.open_fault(claim, opened, do=fault.do, undo=fault.undo, timeout=5)
    before = (settings.ALLOWED_COMMANDS, settings.SCENARIO_SECRET_PREFIX, settings.SCENARIO_DRIVERS)
    shut(settings, what)
    (left,) = recovery.clean_up_after("dead:1")
    assert (left.outcome, left.rollback) == (Outcome.INTERRUPTED, Rollback.DIRTY)
    assert reason in Fault.objects.get().reason
    settings.ALLOWED_COMMANDS, settings.SCENARIO_SECRET_PREFIX, settings.SCENARIO_DRIVERS = before
    mended = recovery.undo_now(left)
    assert mended is not None
    assert mended.rollback == Rollback.CLEAN


RESTART = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: restart}
spec:
  phases:
    - name: chaos
      actions:
        - name: kill it
          do: {signal: {pidfile: PID, signal: KILL}}
          undo: {command: {run: [sh, START], keep_running: true}}
    - name: recovery
      validations:
        - name: it is back
          within: 30s
          probe: {signal: {pidfile: PID, signal: STOP}}
          expect: {pid: {above: 1}}
"""


def test_a_process_that_was_killed_runs_again_once_its_undo_has_started_it(
    settings: Settings, tmp_path: Path
) -> None:
    settings.ALLOWED_PIDFILE_DIRS = (tmp_path,)
    pid, start = tmp_path / "exchange.pid", tmp_path / "start"
    start.write_text(f"sleep 60 & echo $! > {pid}")
    subprocess.run(["sh", start], check=True)
    first = int(pid.read_text())
    run = carried_out(RESTART.replace("PID", str(pid)).replace("START", str(start)))
    second = int(pid.read_text())
    try:
        assert (run.outcome, run.rollback) == (Outcome.PASSED, Rollback.CLEAN)
        assert second != first
        assert processes.is_alive(second)
    finally:
        os.kill(second, signal.SIGKILL)
