"""The code follows its own rules. What fails here is the style or the types, not the product."""

import subprocess
import sys
from pathlib import Path

import pytest

# `manage.py test` runs them beside other tests, at a low priority.
pytestmark = pytest.mark.timeout(3600)

PROJECT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent

COMMANDS = {
    "ruff check": [str(TOOLS / "ruff"), "check", "."],
    "ruff format": [str(TOOLS / "ruff"), "format", "--check", "."],
    "mypy": [str(TOOLS / "mypy"), "."],
    "lint-imports": [str(TOOLS / "lint-imports"), "--no-cache"],
    "makemigrations": [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_code_passes_the_check(name: str) -> None:
    result = subprocess.run(COMMANDS[name], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
