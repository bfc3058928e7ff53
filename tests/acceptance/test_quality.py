"""The code holds its own rules."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
def test_the_code_passes(name: str) -> None:
    result = subprocess.run(COMMANDS[name], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_deployment_check_passes_with_production_settings(tmp_path: Path) -> None:
    production = {
        "ENVIRONMENT": "production",
        "SECRET_KEY": "k7!" * 12 + "abcdefghijklmnop",
        "DATA_DIR": str(tmp_path),
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    result = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, **production}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("module", ["scenarios.engine", "scenarios.domain.document", "metrics_app.ports"])
def test_the_inside_loads_neither_django_nor_prometheus(module: str) -> None:
    script = (
        f"import sys, {module}; loaded = {{name.split('.')[0] for name in sys.modules}}; "
        "sys.exit(', '.join({'django', 'prometheus_client'} & loaded) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
