"""The numbers of a run's events come from one place."""

import re
from pathlib import Path

SCENARIOS = Path(__file__).parents[4] / "scenarios"


def test_only_the_writer_of_events_takes_numbers() -> None:
    taken = re.compile(r"""F\(["']last_event["']\)|run\.last_event \+?= """)
    found = [
        str(path.relative_to(SCENARIOS))
        for path in SCENARIOS.rglob("*.py")
        if "migrations" not in path.parts and taken.search(path.read_text())
    ]
    assert found == ["runs/events.py"]
