"""Runs whose steps act on the worker's host: they hold it, may wait for an approval, and need its name."""

from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.checks import check_host
from scenarios.domain.errors import CannotBegin
from scenarios.domain.outcomes import Outcome, RunState, Verdict
from scenarios.drivers import hosts
from scenarios.library import services as registered_services
from scenarios.models import Hold, Run
from scenarios.runs import lifecycle, task_queue
from tests.integration.scenarios.runs.bound_runs import DOCUMENT, claim, queued

pytestmark = pytest.mark.django_db(transaction=True)


SIGNAL = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: paused}
spec:
  phases:
    - name: chaos
      actions:
        - name: pause it
          do: {signal: {HOW, signal: STOP}}
          undo: {signal: {HOW, signal: CONT}}
"""


HTTP = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: elsewhere}
spec:
  phases:
    - name: chaos
      actions:
        - name: slow it
          do: {http: {service: exchange, method: POST, path: /fault}}
          undo: {http: {service: exchange, method: DELETE, path: /fault}}
"""


@pytest.fixture(autouse=True)
def site(settings: Settings, tmp_path: Path) -> None:
    settings.ALLOWED_COMMANDS = ("sh",)
    settings.ALLOWED_PIDFILE_DIRS = (tmp_path,)
    settings.HOST_NAME = "alpha"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (SIGNAL.replace("HOW", "pid: 77"), SIGNAL.replace("HOW", "port: 8000")),
        (SIGNAL.replace("HOW", "pidfile: PIDS/a.pid"), SIGNAL.replace("HOW", "pidfile: PIDS/a.pid")),
        (DOCUMENT, SIGNAL.replace("HOW", "pid: 77")),
        (DOCUMENT, DOCUMENT),
    ],
)
def test_two_runs_that_act_on_one_host_never_overlap(first: str, second: str, tmp_path: Path) -> None:
    held, waiting = (queued(source.replace("PIDS", str(tmp_path))) for source in (first, second))
    claimed = claim(held)
    assert claimed is not None
    assert claim(waiting) is None
    waiting.refresh_from_db()
    assert waiting.waiting_for == f"host 'alpha' is held by {held}"
    assert task_queue.enqueue_waiting_runs() == 0
    lifecycle.finish_run(claimed, Verdict(Outcome.PASSED, ""), timezone.now())
    assert task_queue.enqueue_waiting_runs() == 1
    assert claim(waiting) is not None


def test_runs_on_two_hosts_go_side_by_side_and_so_does_one_that_touches_no_host(settings: Settings) -> None:
    assert claim(queued(DOCUMENT)) is not None
    assert claim(queued(HTTP)) is not None
    elsewhere = queued(DOCUMENT)
    assert claim(elsewhere) is None
    settings.HOST_NAME = "beta"
    assert claim(elsewhere) is not None
    assert set(Hold.objects.values_list("service", flat=True)) == {"host/alpha", "host/beta", "exchange"}


def test_a_run_that_is_not_to_wait_is_refused_while_a_host_is_held() -> None:
    claim(queued(DOCUMENT))
    with pytest.raises(CannotBegin, match="host 'alpha' is held by"):
        queued(DOCUMENT, wait=False)


def test_a_signal_to_a_port_touches_the_service_that_is_registered_there() -> None:
    registered_services.register_service("exchange", "http://localhost:9101", is_protected=True)
    registered_services.register_service("other", "http://localhost:9102", is_protected=True)
    run = queued(SIGNAL.replace("HOW", "port: 9101"))
    assert run.state == RunState.AWAITING_APPROVAL
    assert run.services == ["exchange", "host/*"]
    assert "'exchange' is protected" in run.waiting_for


@pytest.mark.parametrize("protected", ["alpha", "*"])
def test_a_run_that_may_come_to_a_protected_host_waits_for_a_second_person(
    settings: Settings, protected: str
) -> None:
    settings.PROTECTED_HOSTS = (protected,)
    run = queued(DOCUMENT)
    assert run.state == RunState.AWAITING_APPROVAL
    assert f"host '{protected}' is protected" in run.waiting_for
    run.approval.state = "approved"
    run.approval.save()
    Run.objects.update(state=RunState.QUEUED)
    assert claim(run) is not None
    assert queued(HTTP).state == RunState.QUEUED


def test_a_host_that_was_protected_after_the_run_was_queued_is_not_touched(settings: Settings) -> None:
    run = queued(DOCUMENT)
    settings.PROTECTED_HOSTS = ("alpha",)
    assert claim(run) is None
    settings.HOST_NAME = "beta"
    assert claim(run) is not None


NAMES = [
    ("localhost", "a" * 32, "localhost-"),
    ("localhost", "b" * 32, "localhost-"),
    ("Shop_1.Example.COM", "", "shop-1.example.com"),
    ("x" * 64, "c" * 32, "x" * 45 + "-"),
    ("", "", "unnamed"),
    ("alpha", "uninitialized", "alpha"),
]


def test_host_names_of_machines_with_the_same_name_differ_and_fit_the_ledger(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.HOST_NAME = ""
    file = tmp_path / "machine-id"
    monkeypatch.setattr(hosts, "MACHINE_ID_FILES", (str(tmp_path / "missing"), str(file)))
    found = []
    for name, number, expected in NAMES:
        file.write_text(f"{number}\n")
        monkeypatch.setattr("socket.gethostname", lambda name=name: name)
        found.append(hosts.this_host())
        assert found[-1] == hosts.this_host()  # as after a restart
        assert found[-1].startswith(expected)
        assert len(hosts.format_target(found[-1])) <= 63
        assert number not in found[-1] or not number
    assert len(set(found)) == len(NAMES)


def test_a_host_without_a_machine_id_is_to_be_given_a_name_where_commands_are_allowed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(hosts, "MACHINE_ID_FILES", ())
    assert check_host() == []
    settings.HOST_NAME = ""
    (warning,) = check_host()
    assert (warning.id, "Set HOST_NAME" in str(warning.hint)) == ("scenarios.W002", True)
    settings.ALLOWED_COMMANDS = settings.ALLOWED_PIDFILE_DIRS = ()
    assert check_host() == []
