"""What each feature of the metrics package costs, switched on and switched off.

    python -m benchmarks.feature_costs [--repeats 5] [--output FILE] [FEATURE …]

Each figure is the least processor time of many short rounds, over processes that take turns: without the
package, with the feature switched off, and with it on. What a feature costs that is switched off is what the
package adds without it; features of requests and of own metrics are compared with the package's own figure
without them.
"""

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.goals import Goals
from benchmarks.peers import report

PROJECT = Path(__file__).resolve().parents[1]
NOTHING_MEASURABLE = 0.01
"""Of the operation: so much does the same program differ from process to process."""


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


def measure(operation: str, metrics: dict[str, Any] | None) -> float:
    command = [sys.executable, "-m", "benchmarks.features.operations", operation]
    given = [] if metrics is None else [json.dumps(metrics)]
    return float(subprocess.check_output([*command, *given], cwd=PROJECT, text=True))


def compare(goals: Goals, feature: Feature, repeats: int) -> None:
    wanted = {"on": feature.on, "off": {}, "without": None}
    if feature.is_part_of_the_package:
        del wanted["without"]
    if not feature.on:
        del wanted["off"]
    if len(wanted) == 1:
        goals.tell(feature.name, least(feature, [feature.on] * repeats), "µs")
        return
    found: dict[str, list[float]] = {name: [] for name in wanted}
    for _ in range(repeats):
        for name, metrics in wanted.items():
            found[name].append(measure(feature.operation, metrics) / feature.each)
    least_of = {name: min(figures) for name, figures in found.items()}
    base = least_of.get("off", least_of.get("without", 0.0))
    goals.tell(f"{feature.name}: without it", base, "µs")
    goals.tell(f"{feature.name}: added by it", least_of["on"] - base, "µs")
    if "without" in least_of and "off" in least_of:
        part = least_of["off"] / least_of["without"] - 1
        goals.at_most(f"{feature.name}: added where it is off, part", part, NOTHING_MEASURABLE)


def least(feature: Feature, settings: list[dict[str, Any]]) -> float:
    return min(measure(feature.operation, metrics) for metrics in settings) / feature.each


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    parser.add_argument("features", nargs="*", help="what their names begin with")
    chosen = parser.parse_args()
    goals = Goals()
    for feature in FEATURES:
        if not chosen.features or feature.name.startswith(tuple(chosen.features)):
            compare(goals, feature, chosen.repeats)
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
