"""Which faults are left behind, depending on how a run ends: Chaos Toolkit and this product.

    python benchmarks/faults_left.py [--rounds 3]

Both inject the same fault into the same service: POST injects it, DELETE removes it. During the fault, the
process is asked to end, or is killed, or the service refuses the undo for a while. Then both have the time of
the lease and three more seconds to undo the fault. Prints a table; exits with 1 if this product left a fault.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.loopback import wait_for
from tests.servers.target import Target, running_target

LONG_FAULT = PROJECT / "tests" / "servers" / "long-fault.yaml"
LEASE_SECONDS = 3.0
PATIENCE = LEASE_SECONDS + 3.0
REFUSING_SECONDS = 1.0
CHAOS_TOOLKIT = """
import json, sys
from chaoslib.experiment import run_experiment
experiment, strategy = json.loads(sys.argv[1]), sys.argv[2]
run_experiment(experiment, settings={"runtime": {"rollbacks": {"strategy": strategy}}})
"""

Process = subprocess.Popen[bytes]
# Starts a run and gives the process that carries it out.
Start = Callable[[], Process]
# Ends it in the middle of the fault.
End = Callable[[Process, Target], None]


def told(number: signal.Signals) -> End:
    return lambda process, _target: process.send_signal(number)


def told_while_the_undo_is_refused(process: Process, target: Target) -> None:
    target.refuse_undo = True
    process.terminate()
    time.sleep(REFUSING_SECONDS)
    target.refuse_undo = False


ENDS: dict[str, End] = {
    "SIGINT": told(signal.SIGINT),
    "SIGTERM": told(signal.SIGTERM),
    "SIGKILL": told(signal.SIGKILL),
    "SIGTERM, and the undo is refused for a second": told_while_the_undo_is_refused,
}


def experiment(target: Target) -> dict[str, object]:
    def step(kind: str, name: str, method: str) -> dict[str, object]:
        provider = {"type": "http", "url": f"{target.url}/fault", "method": method}
        return {"type": kind, "name": name, "provider": provider}

    inject = {**step("action", "break the target", "POST"), "pauses": {"after": 300}}
    undo = step("action", "undo it", "DELETE")
    return {"title": "long fault", "description": "", "method": [inject], "rollbacks": [undo]}


@contextmanager
def chaos_toolkit(target: Target, strategy: str) -> Iterator[Start]:
    started: list[Process] = []

    def start() -> Process:
        command = [sys.executable, "-c", CHAOS_TOOLKIT, json.dumps(experiment(target)), strategy]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()


@contextmanager
def this_product(target: Target) -> Iterator[Start]:
    """The embedded default: a worker for each run, and the watchdog that outlives them."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        system: Coordinator = stack.enter_context(coordinator(data, LEASE_SECONDS=f"{LEASE_SECONDS:g}"))
        system.set_up(target=target.url)
        system.start_watchdog()

        def start() -> Process:
            worker = system.start_worker()
            system.manage("scenario", "run", str(LONG_FAULT), "--detach")
            return worker

        yield start


def is_left(start: Start, end: End, target: Target) -> bool:
    target.active = 0
    process = start()
    wait_for(lambda: target.active, what="the fault is injected")
    end(process, target)
    until = time.monotonic() + PATIENCE
    while target.active and time.monotonic() < until:
        time.sleep(0.05)
    left = target.active > 0
    process.kill()
    process.wait()
    return left


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    left: dict[str, dict[str, int]] = {}
    with running_target() as target:
        theirs = f"Chaos Toolkit {version('chaostoolkit-lib')}"
        tools: dict[str, AbstractContextManager[Start]] = {
            f"{theirs}, rollbacks by default": chaos_toolkit(target, "default"),
            f"{theirs}, rollbacks always": chaos_toolkit(target, "always"),
            "this product": this_product(target),
        }
        for tool, opened in tools.items():
            with opened as start:
                left[tool] = {
                    name: sum(is_left(start, end, target) for _ in range(rounds))
                    for name, end in ENDS.items()
                }
    print(f"Faults left behind, of {rounds}:\n\n| ended by | {' | '.join(left)} |")
    print(f"| --- |{' --- |' * len(left)}")
    for name in ENDS:
        print(f"| {name} | {' | '.join(str(of_tool[name]) for of_tool in left.values())} |")
    return 1 if any(left["this product"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
