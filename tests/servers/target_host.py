"""A machine whose host program a test calls: this one, or a network namespace of it."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from injector.host.bundle import build_program
from injector.host.program import main
from tests.servers.loopback import wait_for

PROGRAM = Path(__file__).resolve().parents[2] / "injector" / "host_program.py"
# The program must also run on older interpreters than the coordinator: try one by this variable.
PYTHON = os.environ.get("HOST_PROGRAM_PYTHON", sys.executable)
KINDS = "pause,kill,restart,stop,blackhole,reset,loss,cpu,memory,io,disk,latency,bandwidth,dns"


def write_program(folder: Path) -> Path:
    """The program as a host has it installed: one file."""
    file = folder / "installed" / "host_program.py"
    file.parent.mkdir()
    file.write_text(build_program())
    return file


class TargetHost:
    """Remembers its faults in `folder`. `inside` are the words before each command."""

    def __init__(self, folder: Path, inside: Sequence[str] = (), *options: str) -> None:
        self.state = folder / "state"
        self.program = PROGRAM
        self.inside = tuple(inside)
        self.options = options or ("--allow-list", str(folder / "none.json"), "--allowed", KINDS)

    @property
    def command(self) -> list[str]:
        return [*self.inside, PYTHON, str(self.program), "--state", str(self.state), *self.options]

    def send(self, text: str, **environment: str) -> dict[str, Any]:
        ended = subprocess.run(
            self.command,
            input=text,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **environment},
        )
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    def send_here(self, text: str) -> dict[str, Any]:
        """As `send`, in this process: for requests that are refused, which leave no guardian."""
        with io.StringIO() as output, redirect_stdout(output):
            main(["--state", str(self.state), *self.options], text)
            found: dict[str, Any] = json.loads(output.getvalue())
        return found

    def ask_here(self, do: str, **request: Any) -> dict[str, Any]:
        return self.send_here(json.dumps({"do": do, **request}))

    def refuse(self, kind: str, **arguments: Any) -> str:
        """The sentence with which the fault is refused."""
        answer = self.ask_here("inject", id="refused", lease=60, kind=kind, arguments=arguments)
        assert answer["code"] == "impossible", answer
        return str(answer["reason"])

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        return self.send(json.dumps({"do": do, **request}))

    def inject(self, fault_id: str, kind: str, lease: float = 60, **arguments: Any) -> dict[str, Any]:
        return self.ask("inject", id=fault_id, lease=lease, kind=kind, arguments=arguments)

    def has(self, fault_id: str) -> bool:
        answer = self.ask("is_present", id=fault_id)
        assert answer["ok"], answer
        return bool(answer["present"])

    def find_guardian(self, fault_id: str) -> int:
        """The process that ends the fault."""
        for file in self.state.glob("guardian-*.json"):
            record = json.loads((self.state / file.name.replace("guardian", "fault")).read_text())
            if record["id"] == fault_id:
                return int(json.loads(file.read_text())["guardian"][0])
        raise AssertionError(f"{fault_id!r} has no guardian")

    @contextmanager
    def restart_guardian(self, fault_id: str) -> Iterator[None]:
        """As systemd does after a guardian was killed. The guardian has ended when this returns."""
        command = [*self.inside, PYTHON, "-I", str(self.program), "--state", str(self.state)]
        with subprocess.Popen([*command, "guard", fault_id]) as process:
            try:
                yield
            finally:
                process.terminate()

    def kill_guardians(self) -> None:
        for file in self.state.glob("guardian-*.json"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(json.loads(file.read_text())["guardian"][0], signal.SIGKILL)


@contextmanager
def sleeper(pid_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that a pid file names."""
    process = subprocess.Popen(["sleep", "600"])
    try:
        pid_file.write_text(f"{process.pid}\n")
        yield process
    finally:
        process.kill()
        process.wait()


def read_state(pid: int) -> str:
    """The letter of proc(5): S asleep, T stopped, Z ended; '' if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def wait_until_continued(pid: int) -> float:
    """Seconds until the process is not stopped any more."""
    started = time.monotonic()
    wait_for(lambda: read_state(pid) != "T", what=f"process {pid} goes on")
    return time.monotonic() - started
