"""The published reference and JSON Schema match the declarations."""

from pathlib import Path

import pytest
from django.conf import settings

from scenarios.management.commands.language_reference import REFERENCE, SCHEMA, render_files


@pytest.mark.parametrize("path", [REFERENCE, SCHEMA])
def test_published_file_is_current(path: Path) -> None:
    published = (settings.BASE_DIR / path).read_text()
    if published != render_files()[path]:
        pytest.fail(f"{path} is stale: run 'manage.py language_reference --write'")


@pytest.mark.parametrize(
    "words",
    ["| `tolerate` |", "| `retry_interrupted` |", "### `signal`", "`exit_code`", "| `within` | duration |"],
)
def test_reference_lists_every_key_and_every_driver(words: str) -> None:
    assert words in render_files()[REFERENCE]
