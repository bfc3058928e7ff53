"""Compares this product's metrics with those of similar libraries, and checks each goal.

    python -m benchmarks.metrics_peers [--repeats 5] [--requests 20000] [--output FILE] [--only SECTION …]

It creates a temporary environment with the peers: django-prometheus, OpenTelemetry's Django instrumentation
with its SDK, and a straightforward middleware. Every figure is a median over processes that take turns, so
that a machine that changes its speed changes all of them. It takes about a quarter of an hour and prints
Markdown. If a goal is missed, it names the goal and exits with 1. All figures except the rates under wrk are
processor time, which other programs on the machine change little.

- Request path: what measuring adds to a request to a trivial view through Django's handler, with and
  without sizes, time to first byte, exceptions and queries; of these, django-prometheus has sizes and
  exceptions.
- Throughput: gunicorn with one worker under wrk (Debian's package), left out if wrk is missing; each
  library in its mode for one process and in that for many, beside the same server without it. The goal is
  checked by the processor time of a request. The interval in brackets has a confidence of 95 percent.
- Scrape: the stock `MultiProcessCollector` and this product's, to the same finished text.
- Large scrape: time and memory of 1,000,000 series, none of which two workers share.
- Library values: an increment of a metric that a library makes with prometheus_client.
- Growth: the cost of a scrape after 500 replaced workers, compared with before.
- Series: how many are added by 300 made-up methods and 300 made-up paths.
- Exactness: the server's count, compared with the responses that its client got.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.peers import report, throughput
from benchmarks.peers.names import (
    DJANGO_PROMETHEUS,
    NOTHING,
    OPENTELEMETRY,
    OURS,
    OURS_DETAILED,
    OURS_RED,
    PLAIN,
)

PEERS = (
    "django-prometheus",
    "opentelemetry-instrumentation-django",
    "opentelemetry-sdk",
    "opentelemetry-exporter-prometheus",
)
ROOT = Path(__file__).resolve().parents[1]
THROUGHPUT_PEERS = (PLAIN, DJANGO_PROMETHEUS, OPENTELEMETRY)
ROUNDS_EACH = 2
SIZES = [(workers, series) for workers in (1, 4, 16) for series in (500, 5000)]


class Environment:
    """The peers beside what the running Python has; every measurement is a process of its own there."""

    def __init__(self, directory: Path) -> None:
        self.python = directory / "bin" / "python"
        self._directory = directory
        venv.create(directory, with_pip=True, symlinks=True)
        paths = {"base": str(directory), "platbase": str(directory)}
        packages = Path(sysconfig.get_path("purelib", vars=paths))
        (packages / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
        subprocess.run([self.python, "-m", "pip", "install", "--quiet", *PEERS], check=True)

    def versions(self) -> str:
        names = ("Django", "prometheus-client", *PEERS[:2], "gunicorn")
        code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
        found = subprocess.check_output([self.python, "-c", code, *names], text=True).split()
        return ", ".join(f"{name} {version}" for name, version in zip(names, found, strict=True))

    def run(self, module: str, *options: str, variant: str = NOTHING, many: bool = True) -> Any:
        """What a module of benchmarks/peers prints; `many` is for the mode of many processes."""
        with tempfile.TemporaryDirectory() as directory:
            environment = {**os.environ, "MEASURED_BY": variant}
            environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
            if many:
                environment["PROMETHEUS_MULTIPROC_DIR"] = directory
            # The server is started by a script that the project's own environment has.
            python = sys.executable if module == "exactness" else self.python
            command = [python, "-m", f"benchmarks.peers.{module}", *options]
            return json.loads(subprocess.check_output(command, cwd=ROOT, env=environment, text=True))


def request_path(environment: Environment, repeats: int) -> report.Section:
    variants = (PLAIN, DJANGO_PROMETHEUS, OPENTELEMETRY, OURS, OURS_RED, OURS_DETAILED)
    added: dict[tuple[str, bool], list[float]] = {}
    for _ in range(repeats):
        for many in (False, True):
            for variant in variants:
                found = environment.run("request_path", variant=variant, many=many)
                added.setdefault((variant, many), []).append(found)
    median = {of: statistics.median(times) for of, times in added.items()}
    cheaper = {v: median[DJANGO_PROMETHEUS, True] / median[v, True] for v in (OURS, OURS_RED, OURS_DETAILED)}
    return report.Section(
        "Processor time that measuring adds to a request, in µs",
        ["", "one process", "many processes"],
        [[v, f"{median[v, False]:.2f}", f"{median[v, True]:.2f}"] for v in variants],
        [
            report.Goal("whole catalogue, times cheaper than django-prometheus", cheaper[OURS], at_least=20),
            report.Goal("RED alone, times cheaper than django-prometheus", cheaper[OURS_RED], at_least=25),
            report.Goal(
                "every request detail, times cheaper than django-prometheus",
                cheaper[OURS_DETAILED],
                at_least=8,
            ),
        ],
    )


def under_load(environment: Environment, repeats: int) -> report.Section:
    title = "Throughput under wrk"
    if shutil.which("wrk") is None:
        return report.Section(
            f"{title}: left out, because wrk is not installed (Debian's package)", [], [], []
        )
    peers = [throughput.Variant(of, many) for many in (False, True) for of in THROUGHPUT_PEERS]
    ours = [throughput.Variant(OURS, many) for many in (False, True)]
    # What is to be shown of the peers is large, and of this product small.
    found = {
        **throughput.measure(environment.python, peers, repeats, 1),
        **throughput.measure(environment.python, ours, 4 * repeats, ROUNDS_EACH),
    }
    rows = [row for variant, of in found.items() for row in _throughput_rows(variant, of)]
    heads = ["", "processes", "requests a second", "ratio to no metrics", "µs of CPU a request", "its ratio"]
    goals = [
        report.Goal(
            f"throughput, {'many processes' if variant.many else 'one process'}, ratio to no metrics",
            _compare_cpu(found[variant], throughput.WITH).median,
            at_least=0.98,
        )
        for variant in ours
    ]
    return report.Section(title, heads, rows, goals)


def _compare_cpu(found: throughput.Measured, path: str) -> throughput.Ratio:
    seconds = found.cpu_seconds
    return throughput.ratio(seconds[throughput.WITHOUT], seconds[path], throughput.BLOCKS)


def _throughput_rows(variant: throughput.Variant, found: throughput.Measured) -> Iterator[list[str]]:
    names = {throughput.WITH: variant.measured_by}
    if variant.measured_by == OURS:
        names[throughput.AGAIN] = "without metrics, compared with itself"
    for path, name in names.items():
        yield [
            name,
            "many" if variant.many else "one",
            f"{statistics.median(found.rates[path]):.0f}",
            str(throughput.ratio(found.rates[path], found.rates[throughput.WITHOUT], ROUNDS_EACH)),
            f"{statistics.median(found.cpu_seconds[path]) * 1e6:.0f}",
            str(_compare_cpu(found, path)),
        ]


def scrape(environment: Environment, repeats: int) -> report.Section:
    took: dict[tuple[int, int], list[dict[str, float]]] = {}
    for _ in range(repeats):
        for size in SIZES:
            options = ("--workers", str(size[0]), "--series", str(size[1]))
            took.setdefault(size, []).append(environment.run("scrape", *options))
    rows = []
    for size, of_size in took.items():
        stock, cold, warm = (
            statistics.median(t[name] for t in of_size) for name in ("stock", "cold", "warm")
        )
        rows.append([*size, stock, cold, warm, stock / cold, stock / warm])
    largest = rows[-1]
    runtime = statistics.median(environment.run("runtime") for _ in range(repeats))
    return report.Section(
        "Processor time of a scrape to the finished text, in ms",
        ["workers", "series each", "stock", "cold", "warm", "stock / cold", "stock / warm"],
        [[str(w), str(n), *(f"{number:.1f}" for number in numbers)] for w, n, *numbers in rows],
        [
            report.Goal(
                "cold scrape of 16 × 5,000 series, times faster than stock", largest[5], at_least=2.5
            ),
            report.Goal("warm scrape of 16 × 5,000 series, times faster than stock", largest[6], at_least=20),
            report.Goal("runtime metrics, µs per worker and scrape", runtime, at_most=50),
        ],
    )


def large_scrape(environment: Environment) -> report.Section:
    found = environment.run("large_scrape")
    numbers = [f"{found[name]:.2f}" for name in ("megabytes", "seconds", "memory", "stays")]
    return report.Section(
        "Warm scrape of 1,000,000 series over 64 files",
        ["MB of text", "seconds of CPU", "memory at its height, in parts of the text", "memory that stays"],
        [numbers],
        [
            report.Goal("warm scrape of 1,000,000 series, seconds of CPU", found["seconds"], at_most=1),
            report.Goal("its memory, in parts of the text", found["memory"], at_most=1.2),
        ],
    )


def library_values(environment: Environment, repeats: int) -> report.Section:
    found = [environment.run("library_values") for _ in range(repeats)]
    rows, ratios = [], {}
    for what in ("inc", "observe"):
        stock, slots = (statistics.median(repeat[of][what] for repeat in found) for of in ("stock", "slots"))
        ratios[what] = statistics.median(repeat["slots"][what] / repeat["stock"][what] for repeat in found)
        rows.append([what, f"{stock:.2f}", f"{slots:.2f}", f"{ratios[what]:.2f}"])
    return report.Section(
        "A call of a metric that a library makes with prometheus_client, in µs",
        ["", "prometheus_client's own mode of many processes", "stored in slots", "ratio"],
        rows,
        [
            report.Goal(f"{what} of a library's metric, ratio", ratio, at_most=1)
            for what, ratio in ratios.items()
        ],
    )


def growth(environment: Environment, repeats: int) -> report.Section:
    found = [environment.run("growth", "--workers", "500") for _ in range(repeats)]
    rows, ratios = [], {}
    for name in found[0]:
        ratios[name] = statistics.median(
            after / before for before, after in (repeat[name] for repeat in found)
        )
        before, after = (statistics.median(repeat[name][moment] for repeat in found) for moment in (0, 1))
        rows.append([name, f"{before:.2f}", f"{after:.2f}", f"{ratios[name]:.2f}"])
    return report.Section(
        "Processor time of a scrape before and after 500 replaced workers, in ms",
        ["", "before", "after", "ratio"],
        rows,
        [report.Goal("scrape after 500 replaced workers, ratio", ratios["ours"], at_most=1.2)],
    )


def attack(environment: Environment) -> report.Section:
    variants = (PLAIN, DJANGO_PROMETHEUS, OPENTELEMETRY, OURS)
    # In one process: what is added to one registry is what the library lets in.
    added = {variant: environment.run("attack", variant=variant, many=False) for variant in variants}
    return report.Section(
        "Series added by 300 made-up methods and 300 made-up paths",
        ["", "series"],
        [[variant, str(series)] for variant, series in added.items()],
        [report.Goal("series added by made-up methods and paths", added[OURS], at_most=40)],
    )


def exactness(environment: Environment, requests: int) -> report.Section:
    found = environment.run("exactness", "--requests", str(requests), many=False)
    answered, failed, counted = found["answered"], found["failed"], found["counted"]
    return report.Section(
        f"{requests} requests under max_requests, 4 × kill -9, HUP and USR2",
        ["answered", "failed in flight", "counted", "scrapes without a fall", "files"],
        [[str(answered), str(failed), f"{counted:.0f}", str(found["scrapes"]), str(found["files"])]],
        [
            report.Goal("answered and not counted", max(0, answered - counted), at_most=0),
            # What was in flight in a killed worker may have been counted before it was answered.
            report.Goal("counted, but not asked", max(0, counted - answered - failed), at_most=0),
            report.Goal("failed, of 4 killed workers", failed, at_most=found["in_flight_at_most"]),
        ],
    )


SECTIONS: dict[str, Callable[[Environment, argparse.Namespace], report.Section]] = {
    "request-path": lambda environment, arguments: request_path(environment, arguments.repeats),
    "throughput": lambda environment, arguments: under_load(environment, arguments.repeats),
    "scrape": lambda environment, arguments: scrape(environment, arguments.repeats),
    "large-scrape": lambda environment, _arguments: large_scrape(environment),
    "library-values": lambda environment, arguments: library_values(environment, arguments.repeats),
    "growth": lambda environment, arguments: growth(environment, arguments.repeats),
    "attack": lambda environment, _arguments: attack(environment),
    "exactness": lambda environment, arguments: exactness(environment, arguments.requests),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        environment = Environment(Path(directory))
        sections = [SECTIONS[name](environment, arguments) for name in SECTIONS if name in arguments.only]
        text = report.written(sections, datetime.now(tz=UTC), environment.versions())
    print(text)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text)
    missed = [goal for section in sections for goal in section.goals if not goal.reached]
    if missed:
        sys.exit("Missed: " + "; ".join(map(str, missed)))


if __name__ == "__main__":
    main()
