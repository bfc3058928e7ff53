"""The guides name the tests and benchmarks that check them."""

import re

import pytest

from tests.servers.coordinator import PROJECT

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]


def test_every_test_and_benchmark_that_a_page_names_exists() -> None:
    for page in PAGES:
        named = re.findall(r"\b(?:tests|benchmarks)/[\w/.-]+\.(?:py|md)\b", page.read_text())
        assert [name for name in named if not (PROJECT / name).is_file()] == [], page.name


@pytest.mark.parametrize("page", ["containers", "kubernetes", "operating"])
def test_guide_lists_what_checks_each_of_its_sections(page: str) -> None:
    text = (PROJECT / "docs" / f"{page}.md").read_text()
    guide, listed = text.split("\n## Tests of this guide\n")
    headings = re.findall(r"^###? (.+)$", guide, re.MULTILINE)
    # Each alert has a test case by its name: tests/acceptance/test_alert_rules.py.
    sections = [heading for heading in headings if not re.fullmatch(r"Coordinator\w+", heading)]
    assert re.findall(r"^\| ([^|]+) \| `.+` \|$", listed, re.MULTILINE) == sections
