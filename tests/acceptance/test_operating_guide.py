"""docs/operating.md tells the truth: its commands are run against an installation in trouble."""

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.servers.alertmanager import alertmanager
from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.documented import Page, run
from tests.servers.fault_proxy import TOKEN
from tests.servers.loopback import free_port, wait_for
from tests.servers.prometheus_server import prometheus
from tests.servers.receiver import Receiver
from tests.servers.second_machine import ssh_settings
from tests.servers.ssh_server import SshServer, ssh_server
from tests.servers.target import Target, running_target
from tests.servers.target_host import sleeper

pytestmark = pytest.mark.slow

PAGE = Page(PROJECT / "docs" / "operating.md")
GUIDE = PAGE.path.read_text()
UPGRADE = ("backup coordinator.backup", "restore coordinator.backup", "migrate", "check --deploy")
LONG_FAULT = PROJECT / "tests" / "servers" / "long-fault.yaml"
NOTHING_GOES_RIGHT = LONG_FAULT.with_name("nothing-goes-right.yaml")
HOST_GOES_AWAY = LONG_FAULT.with_name("host-goes-away.yaml")
COMMANDS = PAGE.commands()


def command_with(words: str) -> str:
    found: str = next(line for line in COMMANDS if words in line)
    return found


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target() as running:
        yield running


@pytest.fixture
def system(tmp_path: Path, target: Target) -> Iterator[Coordinator]:
    with coordinator(tmp_path, SCENARIO_SECRET_FAULT_PROXY_TOKEN=TOKEN) as installed:
        installed.set_up(target=target.url)
        yield installed


def outstanding_fault(system: Coordinator, target: Target) -> str:
    """The id of a run whose worker was told to stop while the target refused to be repaired."""
    worker = system.start_worker()
    run_id = system.manage("scenario", "run", str(LONG_FAULT), "--detach").strip()
    wait_for(lambda: target.active, what="the fault is injected")
    target.refuse_undo = True
    worker.send_signal(signal.SIGTERM)
    worker.wait(300)
    return run_id


def test_an_outstanding_fault_is_undone_by_the_command_once_its_target_allows_it(
    system: Coordinator, target: Target
) -> None:
    run_id = outstanding_fault(system, target)
    assert "rollback dirty" in run(system, command_with("scenario runs"))[1]
    undo = command_with("scenario undo")
    assert run(system, undo, RUN=run_id)[0] == 3
    target.refuse_undo = False
    assert run(system, undo, RUN=run_id)[0] == 0
    assert target.active == 0


@contextmanager
def alerting(folder: Path, system: Coordinator, receiver: str) -> Iterator[None]:
    """Prometheus and Alertmanager as they are shipped, but a minute is a second."""
    folder.mkdir()
    shipped = PROJECT / "deploy" / "prometheus"
    routes = (shipped / "alertmanager.yml").read_text()
    routes = re.sub(r"(group_\w+): \w+", r"\1: 1s", re.sub(r"- url: \S+", f"- url: {receiver}", routes))
    with alertmanager(folder, routes) as address:
        config = yaml.safe_load((shipped / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(folder / "alerts.yml")]
        rules = (shipped / "rules" / "alerts.yml").read_text()
        (folder / "alerts.yml").write_text(rules.replace("for: 1m", "for: 1s"))
        targets = config["alerting"]["alertmanagers"][0]["static_configs"][0]
        targets["targets"] = [address.removeprefix("http://")]
        (job,) = (job for job in config["scrape_configs"] if job["job_name"] == "test-coordinator")
        job["static_configs"] = [{"targets": [f"127.0.0.1:{system.port}"]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump({**config, "scrape_configs": [job]}))
        with prometheus(folder / "prometheus.yml", folder / "tsdb") as asked:
            wait_for(lambda: has_scraped(asked), what="Prometheus has scraped the coordinator")
            yield


def has_scraped(address: str) -> bool:
    with urllib.request.urlopen(f"{address}/api/v1/query?query=scenario_outstanding_faults") as answer:
        return bool(json.load(answer)["data"]["result"])


OUTSTANDING = r"[1-3] fault\(s\) could not be undone"
LOST = r"1 fault\(s\) of {} ended too early within the hour \({}\)"
# The database takes whatever that run does except its end.
REFUSE_END = """CREATE TRIGGER refuse_end BEFORE UPDATE OF state ON scenarios_run
WHEN NEW.state = 'finished' AND NEW.scenario_name = 'nothing-goes-right'
BEGIN SELECT RAISE(ABORT, 'it does not end today'); END"""


class Alerts:
    """What Alertmanager has told the receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def are_told(self, name: str, status: str, summary: str) -> bool:
        alerts = [alert for message in self._receiver.messages() for alert in message["alerts"]]
        return any(
            (alert["labels"]["alertname"], alert["status"]) == (name, status)
            and re.fullmatch(f"test-coordinator: {summary}", alert["annotations"]["summary"])
            for alert in alerts
        )

    def wait_for(self, name: str, summary: str, status: str = "firing") -> None:
        wait_for(lambda: self.are_told(name, status, summary), what=f"{name} is {status}")


@pytest.fixture
def host(system: Coordinator, tmp_path: Path) -> Iterator[SshServer]:
    """The registered host `shop-1`, with a process whose pid file is beside its keys."""
    folder = tmp_path / "shop-1"
    folder.mkdir()
    (folder / "host-faults.json").write_text('{"kinds": {"pause": {}}}')
    with ssh_server(folder) as server, sleeper(folder / "shop.pid"):
        system.environment |= ssh_settings(folder)
        system.environment["HOST_PROGRAM_COMMAND"] += f" --state {folder / 'state'}"
        system.manage("scenario", "host", "add", "shop-1", "--ssh", server.address)
        try:
            yield server
        finally:
            os.kill(server.pid, signal.SIGCONT)


def go_away(host: SshServer) -> None:
    """Let it accept nothing, and cut what it has accepted. SIGCONT brings it back."""
    os.kill(host.pid, signal.SIGSTOP)
    for session in host.list_sessions():
        os.kill(session, signal.SIGKILL)


@pytest.mark.prometheus
@pytest.mark.alertmanager
@pytest.mark.ssh_server
def test_alerts_report_lost_faults_refused_undos_and_runs_taken_over_again(
    system: Coordinator, target: Target, host: SshServer, tmp_path: Path
) -> None:
    """Of one run: its proxy goes away, its target refuses the undo, and the database its end. Of another: its
    host goes away."""
    control = free_port()
    system.rows("UPDATE scenarios_service SET proxy = ?", f"http://127.0.0.1:{control}")
    proxy = start_proxy(system, target, control)
    system.start_web()
    system.start_watchdog()
    receiver = Receiver()
    alerts = Alerts(receiver)
    with receiver.listening(), alerting(tmp_path / "alerting", system, f"{receiver.url}/alerts"):
        worker = system.start_worker()
        system.manage("scenario", "run", str(NOTHING_GOES_RIGHT), "--detach")
        system.wait_for_faults(2)
        system.start_worker("another-worker")
        pidfile = f"pidfile={host.folder / 'shop.pid'}"
        system.manage("scenario", "run", str(HOST_GOES_AWAY), "--var", pidfile, "--detach")
        system.wait_for_faults(3)
        system.rows(REFUSE_END)
        target.refuse_undo = True
        proxy.kill()
        proxy.wait()
        go_away(host)
        alerts.wait_for("CoordinatorFaultLost", LOST.format("nothing-goes-right", "proxy"))
        alerts.wait_for("CoordinatorFaultLost", LOST.format("host-goes-away", "host"))
        os.kill(host.pid, signal.SIGCONT)
        alerts.wait_for("CoordinatorOutstandingFault", OUTSTANDING)
        worker.kill()
        taken_over = r"runs of nothing-goes-right were taken over [2-9] times within 15 minutes"
        alerts.wait_for("CoordinatorRunTakenOverAgain", taken_over)
        unended = system.rows("SELECT scenario_name FROM scenarios_run WHERE state = 'running'")
        assert ("nothing-goes-right",) in unended
        system.rows("DROP TRIGGER refuse_end")
        target.refuse_undo = False
        start_proxy(system, target, control)
        alerts.wait_for("CoordinatorOutstandingFault", OUTSTANDING, "resolved")


def start_proxy(system: Coordinator, target: Target, control: int) -> "subprocess.Popen[bytes]":
    words = ["--listen", "127.0.0.1:0", "--upstream", target.url.removeprefix("http://")]
    words += ["--control", f"127.0.0.1:{control}"]
    return system.start("proxy", "-m", "injector", *words, FAULT_PROXY_TOKEN=TOKEN)


def test_the_global_stop_ends_a_run_and_keeps_the_next_waiting_until_its_release(
    system: Coordinator, target: Target
) -> None:
    system.start_worker()
    system.start_watchdog()
    system.manage("scenario", "run", str(LONG_FAULT), "--detach")
    wait_for(lambda: target.active, what="the fault is injected")
    assert "stopping 1 run and undoing" in run(system, command_with("scenario stop --all"))[1]
    wait_for(lambda: not target.active, what="the fault is undone")
    system.manage("scenario", "run", str(LONG_FAULT), "--detach")
    assert target.injected == 1
    assert "Runs may begin again" in run(system, command_with("scenario release"))[1]
    wait_for(lambda: target.active, what="the next run begins")


def test_the_watchdog_deletes_old_runs(system: Coordinator) -> None:
    system.manage("scenario", "run", str(LONG_FAULT), "--detach")
    system.rows(
        "UPDATE scenarios_run SET state = 'finished', outcome = 'passed', rollback = 'clean', "
        "finished_at = '2020-01-01'"
    )
    system.start_watchdog()
    wait_for(lambda: system.rows("SELECT count(*) FROM scenarios_run") == [(0,)], what="it is deleted")


def test_the_command_opens_the_lock_of_who_failed_to_log_in(system: Coordinator) -> None:
    failed = "from axes.models import AccessAttempt as A; A(username='ada', failures_since_start=9).save()"
    system.manage("shell", "--no-imports", "-c", failed)
    code, printed = run(system, command_with("axes_reset_username"), NAME="ada")
    assert code == 0
    assert "1 attempts removed." in printed


def test_allow_lists_are_narrowed_and_reset(tmp_path: Path) -> None:
    with coordinator(tmp_path, ALLOWED_COMMANDS="systemctl", ALLOWED_NETWORKS="10.0.0.0/8") as system:
        system.migrate()
        for line in (line for line in COMMANDS if "allow-list" in line):
            code, printed = run(system, line)
            assert code == 0, printed


def test_a_backup_is_restored_and_an_upgrade_is_checked(
    system: Coordinator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for line in COMMANDS if any(words in line for words in UPGRADE)]
    assert len(lines) == len(UPGRADE)
    for line in lines:
        words = [str(tmp_path / word) if word.endswith(".backup") else word for word in line.split()[2:]]
        system.manage(*words)


def test_every_command_of_the_guide_is_run_by_one_of_these_tests() -> None:
    tried = (
        "scenario runs",
        "scenario undo",
        "scenario stop --all",
        "scenario release",
        "scenario allow-list",
        "axes_reset_username",
        *UPGRADE,
    )
    assert [line for line in COMMANDS if not any(words in line for words in tried)] == []


def find_anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as they are made where the repository is shown."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_file_and_heading_that_the_guide_names_is_there() -> None:
    for link in re.findall(r"\]\((?!https://)([^)]+)\)", GUIDE):
        page, _, anchor = link.partition("#")
        path = PROJECT / "docs" / (page or "operating.md")
        assert path.exists(), link
        assert not anchor or anchor in find_anchors(path.read_text()), link
