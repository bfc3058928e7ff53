"""What holds on SQLite holds on PostgreSQL."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.postgresql import PostgreSQL

PROJECT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.postgresql


def test_the_integration_tests_pass_on_postgresql(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": postgresql_server.url, "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "--maxfail=10", "tests/integration"]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert "database: postgresql" in done.stdout
