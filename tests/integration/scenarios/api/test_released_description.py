"""The API keeps its promise: clients of the last release still work, or the changelog says why not."""

import json
import re
from pathlib import Path

from coordinator_site import __version__
from tests.openapi_changes import Change, find_breaking_changes

PROJECT = Path(__file__).parents[4]
RELEASED = list((PROJECT / "tests" / "released").glob("openapi-*.json"))


def list_announced() -> str:
    """The items about breaking changes since the last release."""
    changelog = (PROJECT / "CHANGELOG.md").read_text()
    unreleased = changelog.partition("## [Unreleased]")[2].partition("\n## ")[0]
    return "\n".join(item for item in re.split(r"\n(?=- )", unreleased) if item.startswith("- **Breaking:**"))


def find_unannounced(changes: list[Change], announced: str) -> list[str]:
    return [str(change) for change in changes if f"`{change.place}`" not in announced]


def test_changes_since_the_last_release_that_break_clients_are_announced() -> None:
    (released,) = RELEASED
    present = json.loads((PROJECT / "docs" / "openapi.json").read_text())
    changes = find_breaking_changes(json.loads(released.read_text()), present)
    hint = "keep the old form beside the new one, or announce it in CHANGELOG.md as '- **Breaking:** `PLACE`'"
    assert find_unannounced(changes, list_announced()) == [], hint


def test_the_description_is_that_of_a_release_up_to_this_version() -> None:
    (released,) = RELEASED
    version = released.stem.removeprefix("openapi-")
    assert [int(part) for part in version.split(".")] <= [int(part) for part in __version__.split(".")]


def test_only_the_changes_that_are_named_count_as_announced() -> None:
    changes = [Change("Run.reason", "removed"), Change("GET /runs", "removed")]
    assert find_unannounced(changes, "- **Breaking:** `Run.reason` is gone.") == ["`GET /runs`: removed"]
