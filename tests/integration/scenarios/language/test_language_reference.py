"""The published reference and JSON Schema say what the declarations say."""

from pathlib import Path

import pytest
from django.conf import settings

from scenarios.management.commands.language_reference import REFERENCE, SCHEMA, render_files


@pytest.mark.parametrize("path", [REFERENCE, SCHEMA])
def test_the_published_file_is_up_to_date(path: Path) -> None:
    published = (settings.BASE_DIR / path).read_text()
    if published != render_files()[path]:
        pytest.fail(f"{path} is stale: run 'manage.py language_reference --write'")


@pytest.mark.parametrize(
    "words",
    ["| `tolerate` |", "| `retry_interrupted` |", "### `signal`", "`exit_code`", "| `within` | duration |"],
)
def test_the_reference_tells_of_each_word_and_each_driver(words: str) -> None:
    assert words in render_files()[REFERENCE]
