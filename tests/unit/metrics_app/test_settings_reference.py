"""The pages of the package say what its code does."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from metrics_app.conf import READ_SETTINGS, SETTINGS
from metrics_app.request_schemes import DJANGO_PROMETHEUS, SCHEMES
from metrics_app.setting_values import REQUEST_DETAILS
from metrics_app.store_schemes import STORES
from tests.servers.strangers_project import THREE_LINES

PACKAGE = Path(__file__).resolve().parents[3] / "metrics_app"
DOCS = PACKAGE / "docs"
SETTINGS_PAGE = (DOCS / "settings.md").read_text()
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", SETTINGS_PAGE, re.MULTILINE))
IN_WORDS = {"DIRECTORY", "ON_MISUSE"}
"""Their defaults depend on machine and project."""


def test_every_setting_has_a_row_in_the_order_of_the_code() -> None:
    assert list(ROWS) == list(SETTINGS)


@pytest.mark.parametrize("key", sorted(SETTINGS.keys() - IN_WORDS))
def test_the_default_is_the_one_of_the_code(key: str) -> None:
    documented: Any = ast.literal_eval(ROWS[key].strip("`"))
    default = SETTINGS[key].default()
    assert (tuple(documented) if isinstance(documented, list) else documented) == default


def test_every_flat_name_is_listed() -> None:
    named = set(re.findall(r"`((?:METRICS|PROMETHEUS|SERVICE)_[A-Z_]+)`", SETTINGS_PAGE))
    assert named | {"METRICS"} == READ_SETTINGS


def test_every_check_is_listed() -> None:
    pattern = re.compile(r"metrics_app\.[EW]\d{3}")
    code = {number for path in PACKAGE.rglob("*.py") for number in pattern.findall(path.read_text())}
    assert set(pattern.findall(SETTINGS_PAGE)) == code


def test_every_choice_is_listed() -> None:
    assert re.findall(r'^\| `"(\w+)"` \|', SETTINGS_PAGE, re.MULTILINE) == list(REQUEST_DETAILS)
    [row] = [line for line in SETTINGS_PAGE.splitlines() if line.startswith("| `NAMES`")]
    assert {name for name in SCHEMES if f'`"{name}"`' in row} == SCHEMES.keys()


@pytest.mark.parametrize(
    "page", [PACKAGE / "README.md", DOCS / "five-minutes.md"], ids=lambda page: page.name
)
def test_the_three_lines_are_those_that_were_tried(page: Path) -> None:
    text = page.read_text()
    lines = [line for lines in THREE_LINES.values() for line in lines.splitlines()]
    tried = [line for line in lines if line and not line.startswith("from ")]
    assert len(tried) == 3
    assert [line for line in tried if line not in text] == []


def test_every_name_of_the_migration_guide_exists() -> None:
    page = (DOCS / "from-django-prometheus.md").read_text().partition("## 3.")[2]
    named = set(re.findall(r"`(django_(?:http|db|cache)_\w+)`", page))
    assert named <= {definition.name for definition in (*DJANGO_PROMETHEUS, *STORES)}
    assert len(named) >= 12


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_to_pages(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / link).is_file(), link
