"""What each feature of the metrics package costs, switched on and switched off.

    python -m benchmarks.feature_costs [--repeats 5] [--rounds 40] [--output FILE] [FEATURE …]

Processes take turns in short rounds: one without the package, one with the feature switched off, one with it
on, and one that is like the first. Figures are ratios within a round, so that a machine that changes its pace
changes all of them: the median over the rounds, then over the repeats, each of which starts the processes
again. How far the first process and the one like it differ is what can be measured: what a feature costs that
is switched off must be less. Features of requests and of own metrics cannot be measured without the package
and are compared with it without them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from benchmarks.goals import Goals
from benchmarks.peers import report

PROJECT = Path(__file__).resolve().parents[1]
NOTHING_MEASURABLE = 0.01
"""Of the operation: less is not asked for, however quiet the machine is."""
ON, OFF, WITHOUT, AGAIN = "on", "off", "without", "again"


class Feature(NamedTuple):
    name: str
    operation: str
    """One of `benchmarks.features.operations`."""
    on: dict[str, Any]
    is_part_of_the_package: bool = False
    """Whether the operation is one of the package: it cannot be measured without it."""
    each: int = 1
    """So many things are done in one operation."""


def of_requests(name: str, on: dict[str, Any]) -> Feature:
    return Feature(name, "request", on, is_part_of_the_package=True)


FEATURES = (
    of_requests("request, EXCLUDE of another route", {"EXCLUDE": ["other", "/internal/"]}),
    of_requests("request, EXCLUDE of this route", {"EXCLUDE": ["home"]}),
    of_requests("request, ROUTES with other buckets", {"ROUTES": {"home": [0.1, 1]}}),
    of_requests("request, LABELS", {"LABELS": {"tenant": "benchmarks.features.operations.find_tenant"}}),
    *(
        of_requests(f"request, REQUEST_DETAILS {detail}", {"REQUEST_DETAILS": [detail]})
        for detail in ("sizes", "first_byte", "exceptions", "queries")
    ),
    of_requests("request, NAMES semconv", {"NAMES": "semconv"}),
    of_requests("request, NAMES django-prometheus", {"NAMES": "django-prometheus"}),
    of_requests("request, NATIVE_HISTOGRAMS", {"NATIVE_HISTOGRAMS": True}),
    of_requests("request, CREATED", {"CREATED": True}),
    Feature("query, DATABASE", "query", {"DATABASE": True}),
    Feature("updated row, DATABASE", "row", {"DATABASE": True}),
    Feature("cache read, CACHES", "cache_read", {"CACHES": True}),
    Feature("task, TASKS", "task", {"TASKS": True}),
    Feature("command, COMMANDS", "command", {"COMMANDS": True}),
    Feature("observation, NATIVE_HISTOGRAMS", "observation", {"NATIVE_HISTOGRAMS": True}, True),
    Feature("observation, CREATED", "observation", {"CREATED": True}, True),
    Feature("observation with an exemplar", "exemplar", {}, True),
    Feature("observation of a metric with a UTF-8 name", "utf8_name", {}, True),
    Feature("WebSocket message, WebSocketMetrics", "message", {}, each=200),
    Feature("WSGI request, metrics_app.wsgi", "wsgi_request", {}),
)


class Turns:
    """A process that carries out an operation round by round."""

    def __init__(self, operation: str, metrics: dict[str, Any] | None) -> None:
        given = [] if metrics is None else [json.dumps(metrics)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.features.operations", operation, *given],
            cwd=PROJECT,
            # The order of sets and dictionaries changes the pace of a process.
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def take(self) -> float:
        """The microseconds of one operation in the next round."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def find_variants(feature: Feature) -> dict[str, dict[str, Any] | None]:
    """The settings of each process, the first of which is what the others are compared with."""
    variants: dict[str, dict[str, Any] | None] = {WITHOUT: None, AGAIN: None, OFF: {}, ON: feature.on}
    if feature.is_part_of_the_package:
        variants = {OFF: {}, AGAIN: {}, ON: feature.on} if feature.on else {ON: {}}
    elif not feature.on:
        del variants[OFF]
    return variants


def take_turns(
    operation: str, variants: Mapping[str, dict[str, Any] | None], rounds: int
) -> dict[str, list[float]]:
    """Microseconds of each variant in each round."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    with ExitStack() as running:
        processes = {name: running.enter_context(Turns(operation, of)) for name, of in variants.items()}
        names = list(variants)
        for number in range(rounds + 1):
            # Each round begins with another one.
            for name in names[number % len(names) :] + names[: number % len(names)]:
                found[name].append(processes[name].take())
    return {name: figures[1:] for name, figures in found.items()}  # the first round warms up


def compare(goals: Goals, feature: Feature, repeats: int, rounds: int) -> None:
    variants = find_variants(feature)
    found = [take_turns(feature.operation, variants, rounds) for _ in range(repeats)]
    base = next(iter(variants))
    least = min(min(turns[base]) for turns in found) / feature.each
    if len(variants) == 1:
        goals.tell(feature.name, least, "µs")
        return
    parts = {name: [compute_part(turns[base], turns[name]) for turns in found] for name in variants}
    noise = max(map(abs, parts[AGAIN]))
    goals.tell(f"{feature.name}: without it", least, "µs")
    goals.tell(f"{feature.name}: added by it", statistics.median(parts[ON]) * least, "µs")
    goals.tell(f"{feature.name}: difference of two processes without it, part", noise)
    if base != OFF and OFF in parts:
        part = statistics.median(parts[OFF])
        goals.at_most(
            f"{feature.name}: added where it is off, part", part, round(max(noise, NOTHING_MEASURABLE), 4)
        )


def compute_part(base: list[float], other: list[float]) -> float:
    """How much longer the other took, in parts of the base: the median over the rounds."""
    return statistics.median(b / a for a, b in zip(base, other, strict=True)) - 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--output", type=Path)
    parser.add_argument("features", nargs="*", help="what their names begin with")
    chosen = parser.parse_args()
    goals = Goals()
    for feature in FEATURES:
        if not chosen.features or feature.name.startswith(tuple(chosen.features)):
            compare(goals, feature, chosen.repeats, chosen.rounds)
            if chosen.output:  # at once, so that nothing is lost of what was measured
                chosen.output.write_text(results(goals))
    return goals.status


def results(goals: Goals) -> str:
    """What was measured, as Markdown."""
    head = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {report.describe_machine()}; {report.describe_load()}."
    table = report.table(["what", "measured", "goal", ""], goals.rows)
    return f"# What each feature of the metrics package costs\n\n{head}\n\n{table}\n"


if __name__ == "__main__":
    sys.exit(main())
