"""The catalogue, repeatedly, on the embedded default: `python benchmarks/soak.py [--rounds 50]`.

Exits with 1 if a run did not pass, or if after the last round there are more processes, open descriptors or
metrics files than after the first ones, or if a process has grown by more than a tenth.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers.coordinator import PROJECT, Coordinator, command, processes_with, read_until

CATALOGUE = sorted(file.stem for file in (PROJECT / "scenarios" / "catalogue").glob("*.yaml"))
WARM_UP_ROUNDS = 3
DESCRIPTORS_OF_CHANCE = 3  # a scrape or a poll that is under way
GROWTH = 1.1
# One process that starts the runs, without the half second that a new command takes.
ENTRANCE = """
import sys, time
from scenarios.runs import commands as run_commands
from scenarios.models import Run, Scenario
print('ready', flush=True)
for line in sys.stdin:
    scenario = Scenario.objects.get(name=line.strip())
    run = run_commands.start_run(scenario.document, {}, origin='api', scenario=scenario)
    while not (ended := Run.objects.filter(id=run.id, state='finished').values_list('outcome', 'rollback')):
        time.sleep(0.05)
    print(*ended[0], flush=True)
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    resident: dict[int, int]
    descriptors: dict[int, int]
    files: int


def sizes(data: Path, besides: int) -> Sizes:
    """Kibibytes and open descriptors by process; how many files the metrics directory holds."""
    # Not Prometheus, which keeps what it has scraped.
    ours = [pid for pid, command_line in processes_with(data).items() if "python" in command_line]
    pids = [pid for pid in ours if pid != besides]
    resident = {
        pid: int(line.split()[1])
        for pid in pids
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    }
    descriptors = {pid: len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids}
    return Sizes(resident, descriptors, len(list((data / "metrics").iterdir())))


def growth(before: Sizes, after: Sizes) -> list[str]:
    found = []
    if before.resident.keys() != after.resident.keys():
        found.append(f"processes: {sorted(before.resident)} became {sorted(after.resident)}")
    for pid in before.resident.keys() & after.resident.keys():
        if after.resident[pid] > before.resident[pid] * GROWTH:
            found.append(f"process {pid}: {before.resident[pid]} KiB became {after.resident[pid]} KiB")
        if after.descriptors[pid] > before.descriptors[pid] + DESCRIPTORS_OF_CHANCE:
            found.append(
                f"process {pid}: {before.descriptors[pid]} descriptors became {after.descriptors[pid]}"
            )
    if after.files > before.files:
        found.append(f"metrics files: {before.files} became {after.files}")
    return found


def soak(data: Path, rounds: int) -> list[str]:
    installed = Coordinator(data)
    problems = []
    with (
        command(data, "up", **installed.environment) as up,
        subprocess.Popen(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", ENTRANCE],
            cwd=PROJECT,
            env=installed.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as entrance,
    ):
        read_until(up.stdout, "Serving")
        assert entrance.stdin is not None
        read_until(entrance.stdout, "ready")
        assert entrance.stdout is not None
        before = sizes(data, entrance.pid)
        for number in range(1, rounds + 1):
            for name in CATALOGUE:
                entrance.stdin.write(f"{name}\n")
                entrance.stdin.flush()
                ended = entrance.stdout.readline().strip()
                if ended != "passed clean":
                    problems.append(f"round {number}, {name}: {ended}")
            if number == WARM_UP_ROUNDS:
                before = sizes(data, entrance.pid)
        after = sizes(data, entrance.pid)
        for pid, kibibytes in sorted(after.resident.items()):
            print(f"process {pid}: {before.resident.get(pid)} → {kibibytes} KiB", end=", ")
            print(f"{before.descriptors.get(pid)} → {after.descriptors[pid]} descriptors")
        print(f"metrics files: {before.files} → {after.files}")
    return problems + growth(before, after)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        problems = soak(Path(data), options.rounds)
    print("\n".join(problems) or f"{options.rounds} rounds of {len(CATALOGUE)} scenarios: nothing grew")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
