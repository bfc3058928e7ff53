"""Runs as root on the machine of systemd_guide.py: follows the guide, breaks units, prints what it saw."""

import json
import os
import pty
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

BOXES = json.loads(Path("/trial/boxes.json").read_text())
WORKER, WATCHDOG, WEB = (f"test-coordinator-{name}" for name in ("worker@1", "watchdog", "web"))
PASSWORD, KEY = "correct-horse-battery", "k7mQ" * 16
ENVIRONMENT = Path("/etc/test-coordinator/environment")
FILLED_IN = f"""
SECRET_KEY={KEY}
DATABASE_URL=postgres://coordinator:{PASSWORD}@127.0.0.1/coordinator
ALLOWED_HOSTS=localhost,127.0.0.1
"""
ALLOWED = """
ALLOWED_PIDFILE_DIRS=/run/shop
ALLOWED_COMMANDS=ip,touch,rm,systemctl
"""
# What a person types where the guide's commands ask.
ANSWERS = {
    r"Enter password for new role: $": PASSWORD,
    r"Enter it again: $": PASSWORD,
    r"Username[^\n]*: $": "ada",
    r"Email address: $": "ada@example.org",
    r"Password: $": PASSWORD,
    r"Password \(again\): $": PASSWORD,
}
SHOP = """\
[Service]
User=nobody
RuntimeDirectory=shop
ExecStart=/usr/bin/python3 /trial/target.py 9000 /run/shop/shop.pid
"""
(FUNCTION,) = re.findall(r"^coordinator\(\) \{.*?^\}$", BOXES["installing"], re.MULTILINE | re.DOTALL)
PID, MTU = "/run/shop/shop.pid", ["ip", "link", "set", "lo", "mtu"]
DROP_IN_STEPS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "signal.conf": (
        {"signal": {"pidfile": PID, "signal": "STOP"}},
        {"signal": {"pidfile": PID, "signal": "CONT"}},
    ),
    "command-network.conf": ({"command": {"run": [*MTU, "1400"]}}, {"command": {"run": [*MTU, "65536"]}}),
    "command-files.conf": (
        {"command": {"run": ["touch", "/srv/shop/broken"]}},
        {"command": {"run": ["rm", "/srv/shop/broken"]}},
    ),
    "50-test-coordinator.rules": (
        {"command": {"run": ["systemctl", "stop", "shop.service"]}},
        {"command": {"run": ["systemctl", "start", "shop.service"]}},
    ),
}


def say(step: str, seconds: float | None = None) -> None:
    print(f"- {step}" + (f": {seconds:.1f} s" if seconds is not None else ""), flush=True)


def in_terminal(script: str) -> tuple[int, str]:
    """What bash printed that ran this, typed answers included, and its exit code."""
    process, terminal = pty.fork()
    if not process:
        os.execv("/bin/bash", ["bash", "-e", "-c", script])  # noqa: S606 - which is the shell
    said, answered = "", 0
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        said += piece.decode(errors="replace")
        for prompt, answer in ANSWERS.items():
            if re.search(prompt, said[answered:]):
                answered = len(said)
                os.write(terminal, f"{answer}\n".encode())
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said


def run(script: str) -> str:
    code, said = in_terminal(script)
    assert code == 0, f"{script}\nended with {code}:\n{said}"
    return said


def coordinator(words: str) -> tuple[int, str]:
    return in_terminal(f"{FUNCTION}\ncoordinator {words}")


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=True).stdout.strip()


def query(text: str) -> list[str]:
    command = ["runuser", "-u", "postgres", "--", "psql", "-At", "coordinator", "-c", text]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.split()


def ask(path: str, port: int = 8080) -> tuple[int, str]:
    headers = {"X-Forwarded-Proto": "https"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - of this machine
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def wait_for(condition: Callable[[], object], what: str) -> float:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() < begun + 300, what
        time.sleep(0.1)
    return time.monotonic() - begun


def is_ready() -> bool:
    return ask("/api/v1/ready")[0] == 200


def count_faults() -> int:
    status, text = ask("/", 9000)
    return int(text) if status == 200 else -1


def write_scenario(name: str, do: dict[str, Any], undo: dict[str, Any], hold: str) -> str:
    action = {"name": "break it", "do": do, "undo": undo}
    phase = {"name": "chaos", "hold": hold, "actions": [action]}
    document = {
        "apiVersion": "coordinator/v1",
        "kind": "Scenario",
        "metadata": {"name": name},
        "spec": {"phases": [phase]},
    }
    file = Path(f"/srv/{name}.yaml")
    file.write_text(json.dumps(document))
    return str(file)


def start_fault(hold: str) -> str:
    """The id of a run in the middle of its fault, which lasts that long."""
    step = {"service": "target", "path": "/fault"}
    file = write_scenario(
        f"fault-{hold}", {"http": {**step, "method": "POST"}}, {"http": {**step, "method": "DELETE"}}, hold
    )
    code, said = coordinator(f"scenario run {file} --detach")
    assert code == 0, said
    wait_for(lambda: count_faults() == 1, "the fault is injected")
    (found,) = query("SELECT id FROM scenarios_run ORDER BY queued_at DESC LIMIT 1")
    return found


def install() -> None:
    Path("/etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    wait_for(lambda: subprocess.run(["pg_isready", "-q"], check=False).returncode == 0, "PostgreSQL is up")
    fill_in = f"cat >>{ENVIRONMENT} <<'END'{FILLED_IN}END"
    lines = BOXES["installing"].replace("ADDRESS", "/trial/repository")
    script = re.sub(r"^(install -D .*)$", lambda found: f"{found[0]}\n{fill_in}", lines, flags=re.MULTILINE)
    begun = time.monotonic()
    run(script)
    say("the box of the guide, from useradd to systemctl enable", time.monotonic() - begun)
    say("then until `ready` answers 200", wait_for(is_ready, "ready"))


def set_up_target() -> None:
    Path("/etc/systemd/system/shop.service").write_text(SHOP)
    systemctl("daemon-reload")
    systemctl("start", "shop")
    wait_for(lambda: count_faults() == 0, "the target answers")
    code, said = coordinator("scenario service add target --url http://127.0.0.1:9000")
    assert code == 0, said


def find_process(unit: str) -> str:
    return systemctl("show", "--property=MainPID", "--value", unit)


def wait_for_new_process(old: str) -> None:
    wait_for(lambda: find_process(WORKER) not in {old, "0"}, "systemd starts the worker again")


def wait_for_end(run_id: str) -> str:
    wait_for(lambda: read_end(run_id).startswith("finished"), "the run has ended")
    return read_end(run_id).removeprefix("finished ")


def kill_worker() -> None:
    run_id, pid = start_fault("10m"), find_process(WORKER)
    systemctl("kill", "--signal=KILL", WORKER)
    seconds = wait_for(lambda: count_faults() == 0, "the watchdog undoes the fault")
    end = wait_for_end(run_id)
    assert end == "interrupted clean", end
    wait_for_new_process(pid)
    say(f"worker killed (SIGKILL) in a fault: {end}, started again by systemd; undone after", seconds)


def restart_worker() -> None:
    run_id, begun = start_fault("10m"), time.monotonic()
    systemctl("restart", WORKER)
    seconds = time.monotonic() - begun
    assert count_faults() == 0
    end = read_end(run_id)
    assert "interrupted clean" in end, end
    say(
        f"worker restarted in a fault: {end.removeprefix('finished ')}; undone when the command returned",
        seconds,
    )


def restart_others() -> None:
    run_id = start_fault("40s")
    systemctl("restart", WATCHDOG)
    systemctl("restart", WEB)
    assert count_faults() == 1
    seconds = wait_for(is_ready, "ready")
    end = wait_for_end(run_id)
    assert end == "passed clean", end
    say(f"watchdog and web restarted in a fault: {end}; ready again after", seconds)


def drain_worker() -> None:
    run_id, pid = start_fault("10s"), find_process(WORKER)
    systemctl("reload", "test-coordinator-worker@*")
    end = wait_for_end(run_id)
    assert end == "passed clean", end
    wait_for_new_process(pid)
    say(f"worker drained by systemctl reload in a fault: {end}, then a new process")


def read_end(run_id: str) -> str:
    found = query(f"SELECT state, outcome, rollback FROM scenarios_run WHERE id = '{run_id}'")  # noqa: S608
    return " ".join(found).replace("|", " ") if found else ""


def try_drop_ins() -> None:
    with ENVIRONMENT.open("a") as file:
        file.write(ALLOWED)
    Path("/srv/shop").mkdir()
    run("chown coordinator: /srv/shop")
    systemctl("restart", WATCHDOG, WORKER)
    # The second is left outstanding, because its undo needs the drop-in, too. It holds the host until then.
    before = run_steps("signal.conf", "command-network.conf")
    assert set(before.values()) == {"errored"}, before
    say(f"steps without their drop-ins: {', '.join(before.values())}")
    # All of them, in the place of the one that the guide names as an example.
    run(f"cd /opt/test-coordinator\n{BOXES['drop_ins'].replace('drop-ins/signal.conf', 'drop-ins/*.conf')}")
    rules = "/opt/test-coordinator/deploy/systemd/drop-ins/50-test-coordinator.rules"
    run(f"install -D --mode=644 --target-directory=/etc/polkit-1/rules.d {rules}")
    time.sleep(2)  # polkit reads its folder again
    after = run_steps(*DROP_IN_STEPS)
    for name, outcome in after.items():
        say(f"a step that needs {name}: {outcome}")
    assert set(after.values()) == {"passed"}, after
    assert Path("/sys/class/net/lo/mtu").read_text().strip() == "65536"
    assert not Path("/srv/shop/broken").exists()
    assert systemctl("is-active", "shop") == "active"


def run_steps(*names: str) -> dict[str, str]:
    """The outcome of a run of each of these DROP_IN_STEPS, by its drop-in."""
    scenarios = {re.sub(r"[^a-z]+", "-", name).strip("-"): name for name in names}
    for scenario, name in scenarios.items():
        file = write_scenario(scenario, *DROP_IN_STEPS[name], "1s")
        code, said = coordinator(f"scenario run {file} --detach")
        assert code == 0, said
    wait_for_runs()
    outcomes = read_outcomes()
    return {name: outcomes[scenario] for scenario, name in scenarios.items()}


def wait_for_runs() -> None:
    wait_for(
        lambda: query("SELECT count(*) FROM scenarios_run WHERE state <> 'finished'") == ["0"],
        "all runs have ended",
    )


def read_outcomes() -> dict[str, str]:
    """Of the newest run of each scenario of a drop-in."""
    rows = query(
        "SELECT DISTINCT ON (scenario_name) scenario_name, outcome FROM scenarios_run "
        "WHERE scenario_name NOT LIKE 'fault-%' ORDER BY scenario_name, queued_at DESC"
    )
    return dict(row.split("|") for row in rows)


def upgrade() -> None:
    begun = time.monotonic()
    systemctl("stop", WEB, WATCHDOG, WORKER)
    for words in (
        "backup /var/lib/test-coordinator/coordinator.backup",
        "migrate",
        "check --deploy --database default",
    ):
        code, said = coordinator(words)
        assert code == 0, said
    systemctl("start", WEB, WATCHDOG, WORKER)
    wait_for(is_ready, "ready")
    say("stopped, backed up, migrated, checked, started, ready", time.monotonic() - begun)


def read_journal() -> None:
    for unit in (WEB, WATCHDOG, WORKER):
        command = ["journalctl", "--output=json", f"--unit={unit}", "_TRANSPORT=stdout"]
        entries = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        lines = [str(json.loads(entry)["MESSAGE"]) for entry in entries]
        others = [line for line in lines if not line.startswith("{")]
        parsed = [json.loads(line) for line in lines if line.startswith("{")]
        assert not any(secret in line for line in lines for secret in (KEY, PASSWORD)), unit
        of_runs = sum("run_id" in line for line in parsed)
        say(f"journal of {unit}: {len(parsed)} lines of JSON ({of_runs} with a run_id), {len(others)} others")
        for line in others[:5]:
            say(f"  other: {line}")


STEPS = (
    install,
    set_up_target,
    kill_worker,
    restart_worker,
    restart_others,
    drain_worker,
    try_drop_ins,
    upgrade,
    read_journal,
)
chosen = sys.argv[1:]
for step in STEPS:
    if not chosen or step.__name__ in chosen:
        step()
print("done", flush=True)
