"""The code follows its own rules. What fails here is the style or the types, not the product."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# `manage.py test` runs them beside other tests, at a low priority.
pytestmark = pytest.mark.timeout(3600)

PROJECT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
PACKAGES = ("coordinator_client", "coordinator_site", "injector", "metrics_app", "scenarios")

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


def list_handlers(node: ast.AST) -> Iterator[tuple[int, str, str]]:
    """The line, what is tried there, and the exceptions that are expected of it."""
    if isinstance(node, ast.Try):
        caught = (ast.unparse(handler.type) for handler in node.handlers if handler.type)
        yield node.lineno, "".join(map(ast.unparse, node.body)), " ".join(caught)
    elif isinstance(node, ast.With) and "suppress" in (items := ast.unparse(node.items[0])):
        yield node.lineno, "".join(map(ast.unparse, node.body)), items


def test_code_that_expects_invalid_json_expects_deep_nesting_too() -> None:
    """`json` raises RecursionError for a thousand brackets, which is no ValueError."""
    found = [
        f"{path.relative_to(PROJECT)}:{line}"
        for package in PACKAGES
        for path in sorted((PROJECT / package).rglob("*.py"))
        if "json.load" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        for line, tried, caught in list_handlers(node)
        if "json.load" in tried and "ValueError" in caught
        if "RecursionError" not in caught
    ]
    assert found == []
