"""The wheel as people install it: `python benchmarks/ways_to_install.py`, with pipx and shiv beside it.

Each way starts from an empty home folder and an environment with nothing but PATH and the settings of pip,
and has to run the first scenario and become ready. Exits with 1 if one does not. A zipapp only says why not.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import Goals
from tests.servers.coordinator import LOCAL_PORTS, PROJECT, read_until
from tests.servers.distributions import CLIENT, METRICS, EmptyEnvironment, build_distributions
from tests.servers.loopback import free_port

SECONDS = 600
ENTRY = "coordinator_client.command_line.program:run_program"


class Home:
    """An empty one; commands in it have an environment that says nothing else."""

    def __init__(self, folder: Path, tools: Path) -> None:
        folder.mkdir()
        self.environment = {
            **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
            "PATH": f"{folder / '.local' / 'bin'}:{tools}:/usr/bin:/bin",
            "HOME": str(folder),
            "PYTHONUNBUFFERED": "1",
            **{name: str(free_port()) for name in LOCAL_PORTS},
        }

    def run(self, *words: str, code: int | None = 0) -> str:
        done = subprocess.run(
            words,
            env=self.environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert code is None or done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    def start(self, *words: str) -> tuple[float, float]:
        """Seconds until the first scenario has passed, and until it is ready; then it is stopped."""
        port, begun = free_port(), time.monotonic()
        command = ["timeout", str(SECONDS), *words, "up", "--port", str(port)]
        with subprocess.Popen(
            command,
            env=self.environment,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as up:
            try:
                said = read_until(up.stdout, "Serving")
                passed = time.monotonic() - begun
                assert "PASSED" in said, said
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/ready", timeout=120) as answer:
                    assert answer.status == 200
                return passed, time.monotonic() - begun
            finally:
                up.send_signal(signal.SIGTERM)
                up.wait(SECONDS)


def measure(goals: Goals, way: str, home: Home, *words: str) -> None:
    begun = time.monotonic()
    assert "test-coordinator" in home.run(*words, "--version")
    goals.tell(f"{way}: the first --version", time.monotonic() - begun, "s")
    passed, ready = home.start(*words)
    goals.at_most(f"{way}: up, until the first scenario has passed", passed, SECONDS, "s")
    goals.tell(f"{way}: up, until ready", ready, "s")


def main() -> int:
    goals = Goals()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dist, tools = folder / "dist", EmptyEnvironment(folder / "tools")
        tools.install("pip", "pipx", "shiv")
        for project in (PROJECT, CLIENT, METRICS):
            build_distributions(dist, project, "--wheel")
        (wheel,) = map(str, dist.glob("test_coordinator-*.whl"))

        home, begun = Home(folder / "pipx", tools.programs), time.monotonic()
        home.run("pipx", "install", "--python", sys.executable, wheel, f"--pip-args=--find-links={dist}")
        goals.tell("pipx: install", time.monotonic() - begun, "s")
        measure(goals, "pipx", home, "test-coordinator")

        home, begun = Home(folder / "shiv", tools.programs), time.monotonic()
        program = folder / "test-coordinator.pyz"
        options = [
            "--extend-pythonpath",
            "--compressed",
            "--console-script",
            "test-coordinator",
            "--output-file",
            str(program),
        ]
        home.run("shiv", *options, "--find-links", str(dist), wheel)
        goals.tell("shiv: build", time.monotonic() - begun, "s")
        goals.tell("shiv: size of the file", program.stat().st_size / 2**20, "MiB")
        measure(goals, "shiv", home, sys.executable, str(program))

        home, built = Home(folder / "zipapp", tools.programs), folder / "built"
        options = ["--quiet", "--target", str(built), f"--find-links={dist}"]
        home.run("pip", "install", *options, wheel)
        home.run(sys.executable, "-m", "zipapp", str(built), "--main", ENTRY, "--output", str(program))
        said = home.run(sys.executable, str(program), "up", "--port", str(free_port()), code=None)
        print(f"zipapp: {said.splitlines()[-1]}")
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
