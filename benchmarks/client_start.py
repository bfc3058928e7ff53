"""What a command of the client costs: `python benchmarks/client_start.py [--rounds 10]`.

Starts a coordinator, then lists its scenarios with `test-coordinator list` and with `manage.py scenario list
--server`, in turn. Prints the minimum and the median of processor time and of maximum resident memory.
Exits with 1 if the median of `test-coordinator` is more than 0.3 s or 40 MB.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers.coordinator import PROJECT, coordinator

ADMIN = "from django.contrib.auth.models import User; User.objects.create_superuser('bench')"
COMMANDS = {
    "test-coordinator list": ("-m", "coordinator_client.command_line.program", "list"),
    "test-coordinator list --json": ("-m", "coordinator_client.command_line.program", "list", "--json"),
    "test-coordinator --help": ("-m", "coordinator_client.command_line.program", "--help"),
    "manage.py scenario list --server": ("manage.py", "scenario", "list"),
}
# A small process of its own: Linux counts the memory of the process that forks as memory of the child.
LAUNCHER = """
import os, sys
child = os.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(child, 0)
print(used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""
MAX_SECONDS, MAX_MEGABYTES = 0.3, 40.0


def measure(words: tuple[str, ...], environment: dict[str, str]) -> tuple[float, float]:
    """The processor time in seconds, and the largest resident memory in MB."""
    command = [sys.executable, "-S", "-c", LAUNCHER, sys.executable, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, kilobytes = done.stderr.splitlines()[-1].split()
    return float(seconds), int(kilobytes) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    os.chdir(PROJECT)
    with tempfile.TemporaryDirectory() as folder, coordinator(Path(folder)) as system:
        system.set_up(exchange="http://127.0.0.1:9")
        system.manage("shell", "--no-imports", "-c", ADMIN)
        token = system.manage("api_token", "create", "bench", "--name", "bench", "--scope", "read").strip()
        system.start_web()
        server = f"http://127.0.0.1:{system.port}"
        there = {"TEST_COORDINATOR_SERVER": server, "TEST_COORDINATOR_TOKEN": token}
        environment = {**system.environment, **there}
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
        for _ in range(rounds):
            for name, words in COMMANDS.items():
                more = ("--server", server) if "manage.py" in words else ()
                took[name].append(measure((*words, *more), environment))
    for name, figures in took.items():
        seconds, memory = zip(*figures, strict=True)
        print(
            f"{name:34} CPU {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s; "
            f"memory {statistics.median(memory):.1f} MB"
        )
    seconds, memory = zip(*took["test-coordinator list"], strict=True)
    is_met = statistics.median(seconds) <= MAX_SECONDS and statistics.median(memory) <= MAX_MEGABYTES
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
