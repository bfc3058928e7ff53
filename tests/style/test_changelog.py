"""CHANGELOG.md is in the form of Keep a Changelog, and says nothing twice."""

import re
from collections import Counter
from datetime import date

from coordinator_site import __version__
from tests.servers.coordinator import PROJECT

TEXT = (PROJECT / "CHANGELOG.md").read_text()
SECTIONS = ["Upgrading", "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
RELEASE = r"(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})"


def split_releases() -> dict[str, str]:
    """The text of each release, by its heading."""
    _, *parts = re.split(r"(?m)^## \[", TEXT)
    return {heading: text for heading, _, text in (part.partition("\n") for part in parts)}


def test_releases_are_in_order_with_their_dates_and_what_is_not_released_comes_first() -> None:
    first, *released = split_releases()
    assert first == "Unreleased]"
    found = [re.fullmatch(RELEASE, heading) for heading in released]
    assert None not in found
    versions = [[int(part) for part in match[1].split(".")] for match in found if match]
    days = [date.fromisoformat(match[2]) for match in found if match]
    assert (versions, days) == (sorted(versions, reverse=True), sorted(days, reverse=True))
    assert versions[0] <= [int(part) for part in __version__.split(".")]


def test_each_release_has_known_sections_in_order_and_says_how_to_upgrade() -> None:
    for heading, text in split_releases().items():
        sections = re.findall(r"(?m)^### (.+)$", text)
        assert sections == [name for name in SECTIONS if name in sections], heading
        # What comes next may have nothing yet.
        assert not sections or sections[0] == "Upgrading", heading


def test_nothing_is_said_twice() -> None:
    items = Counter(item.strip() for item in re.split(r"(?m)^(?:- |#+ .+)", TEXT))
    assert [item for item, count in items.items() if item and count > 1] == []
