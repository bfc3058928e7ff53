"""The result of a benchmark as Markdown, with its goals."""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Goal:
    what: str
    measured: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool:
        return (self.at_least is None or self.measured >= self.at_least) and (
            self.at_most is None or self.measured <= self.at_most
        )

    @property
    def wanted(self) -> str:
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"

    def __str__(self) -> str:
        return f"{self.what}: {self.measured:.2f}, wanted {self.wanted}"


@dataclass(frozen=True)
class Section:
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    goals: Sequence[Goal]


def written(sections: Sequence[Section], date: datetime, versions: str) -> str:
    goals = [goal for section in sections for goal in section.goals]
    parts = [
        "# Metrics beside their peers",
        f"{date:%Y-%m-%d %H:%M} UTC; {describe_machine()}; {versions}; {describe_load()}.",
        "## Goals",
        table(
            ["", "measured", "goal", ""],
            [
                [goal.what, f"{goal.measured:.2f}", goal.wanted, "reached" if goal.reached else "**missed**"]
                for goal in goals
            ],
        ),
    ]
    for section in sections:
        parts.append(f"## {section.title}")
        if section.rows:
            parts.append(f"On {describe_processor()}:")
            parts.append(table(section.heads, section.rows))
    return "\n\n".join(parts) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def describe_load() -> str:
    """What else the machine did in the last quarter of an hour."""
    return f"load average {os.getloadavg()[2]:.0f}"


def describe_machine() -> str:
    """The processor, which decides the figures, and what ran on it."""
    return f"{describe_processor()}, Linux {platform.release()}, Python {platform.python_version()}"


def describe_processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} × {models[0] if models else platform.machine()}"
