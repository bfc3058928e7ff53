"""Compares the request path of two checkouts of this product in one run.

    python -m benchmarks.request_path_of_two BEFORE AFTER [--rounds 150]

Each checkout runs in its own process, and the two take turns round by round, so that a machine that changes
its speed changes both. Each round measures the processor time that the metrics add to a request to a trivial
view. Prints the medians and their ratio, and leaves out what the first checkout cannot measure yet. Exits
with 1 if the second checkout is more than 5 % slower.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.peers.names import OURS, OURS_DETAILED, OURS_RED
from benchmarks.peers.report import describe_machine

MAX_RATIO = 1.05
VARIANTS = (OURS, OURS_RED, OURS_DETAILED)

CHILD = """
import gc, sys
from time import thread_time
from django.conf import settings
from django.test import RequestFactory
from benchmarks.peers import site
site.configure()
factory, number = RequestFactory(), 300
measured, plain = site.handler(settings.MIDDLEWARE), site.handler([])
def seconds_per_request(answer, requests):
    start = thread_time()
    for request in requests:
        answer(request)
    return (thread_time() - start) / number
gc.collect()
for line in sys.stdin:
    took = {}
    for answer in (measured, plain) if int(line) % 2 else (plain, measured):
        requests = [factory.get("/") for _ in range(number)]
        took[answer is measured] = seconds_per_request(answer, requests)
    print(took[True] - took[False], flush=True)
"""


KNOWS = """
import os, sys
from benchmarks.peers import site
sys.exit(os.environ["MEASURED_BY"] not in site.MIDDLEWARE)
"""


class Checkout:
    def __init__(self, directory: Path, measured_by: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            cwd=directory,
            env=_environment(directory, measured_by),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def added(self, number: int) -> float:
        """Microseconds that were added to a request of this round."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(number, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline()) * 1e6

    def end(self) -> None:
        self._process.communicate()


def _environment(directory: Path, measured_by: str) -> dict[str, str]:
    return {"MEASURED_BY": measured_by, "PATH": "", "PYTHONPATH": str(directory)}


def knows(directory: Path, measured_by: str) -> bool:
    """Whether this checkout has such a measurement."""
    command = [sys.executable, "-c", KNOWS]
    environment = _environment(directory, measured_by)
    return not subprocess.run(command, cwd=directory, env=environment, check=False).returncode


def compare(before: Path, after: Path, measured_by: str, rounds: int) -> float:
    """The time of the second checkout as a multiple of that of the first."""
    checkouts = [Checkout(directory, measured_by) for directory in (before, after)]
    found: list[list[float]] = [[], []]
    for number in range(rounds + 1):
        for place in (0, 1) if number % 2 else (1, 0):
            found[place].append(checkouts[place].added(number // 2))
    for checkout in checkouts:
        checkout.end()
    # The first round creates the series.
    medians = [statistics.median(times[1:]) for times in found]
    ratio = medians[1] / medians[0]
    print(f"{measured_by}: {medians[0]:.3f} µs before, {medians[1]:.3f} µs after, {ratio:.3f} times as long")
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=150)
    arguments = parser.parse_args()
    print(describe_machine())
    checkouts = arguments.before.resolve(), arguments.after.resolve()
    known = [measured_by for measured_by in VARIANTS if knows(checkouts[0], measured_by)]
    ratios = [compare(*checkouts, measured_by, arguments.rounds) for measured_by in known]
    sys.exit(1 if max(ratios) > MAX_RATIO else 0)


if __name__ == "__main__":
    main()
