"""The machine of systemd_guide.py, from within, as root: its units, the coordinator, and its target."""

import json
import os
import pty
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

GUIDE = json.loads(Path("/trial/guide.json").read_text())
WORKER, RQ_WORKER = "test-coordinator-worker@1", "test-coordinator-rq-worker@1"
WATCHDOG, WEB = "test-coordinator-watchdog", "test-coordinator-web"
PASSWORD, KEY = "correct-horse-battery", "k7mQ" * 16
ENVIRONMENT = Path("/etc/test-coordinator/environment")
# What a person types where the guide's commands ask.
ANSWERS = {
    r"Enter password for new role: $": PASSWORD,
    r"Enter it again: $": PASSWORD,
    r"Username[^\n]*: $": "ada",
    r"Email address: $": "ada@example.org",
    r"Password: $": PASSWORD,
    r"Password \(again\): $": PASSWORD,
}
(FUNCTION,) = re.findall(r"^coordinator\(\) \{.*?^\}$", GUIDE["installing"], re.MULTILINE | re.DOTALL)
SECONDS = 600


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


def run_in_repository(box: str) -> None:
    run(f"{FUNCTION}\ncd /opt/test-coordinator\n{box}")


def coordinator(words: str) -> str:
    return run(f"{FUNCTION}\ncoordinator {words}")


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
        assert time.monotonic() < begun + SECONDS, what
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


def start(file: str) -> str:
    """The id of the run, which a worker carries out."""
    coordinator(f"scenario run {file} --detach")
    (found,) = query("SELECT id FROM scenarios_run ORDER BY queued_at DESC LIMIT 1")
    return found


def start_fault(hold: str) -> str:
    """The id of a run in the middle of its fault, which lasts that long."""
    found = start(write_fault(hold))
    wait_for(lambda: count_faults() == 1, "the fault is injected")
    wait_for(lambda: count_in_ledger("active") == 1, "the ledger knows of it")
    return found


def write_fault(hold: str) -> str:
    step = {"service": "target", "path": "/fault"}
    do, undo = ({"http": {**step, "method": method}} for method in ("POST", "DELETE"))
    return write_scenario(f"fault-{hold}", do, undo, hold)


def count_in_ledger(state: str) -> int:
    (count,) = query(f"SELECT count(*) FROM scenarios_fault WHERE state = '{state}'")  # noqa: S608
    return int(count)


def find_process(unit: str) -> str:
    return systemctl("show", "--property=MainPID", "--value", unit)


def wait_for_new_process(unit: str, old: str) -> None:
    wait_for(lambda: find_process(unit) not in {old, "0"}, f"systemd starts {unit} again")


def wait_for_end(run_id: str) -> str:
    wait_for(lambda: read_end(run_id).startswith("finished"), "the run has ended")
    return read_end(run_id).removeprefix("finished ")


def read_end(run_id: str) -> str:
    found = query(f"SELECT state, outcome, rollback FROM scenarios_run WHERE id = '{run_id}'")  # noqa: S608
    return " ".join(found).replace("|", " ") if found else ""
