"""prometheus_client's own tests pass on values that are stored in slots, and on their collector."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# The oldest release that is supported, and the one of the lock.
RELEASES = ["0.20.0", version("prometheus_client")]


def unpacked_source(release: str, directory: Path) -> Path:
    """The source distribution, which has the tests and is used as it lies there."""
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*download, "--dest", directory, f"prometheus_client=={release}"], check=True)
    with tarfile.open(next(directory.glob("*.tar.gz"))) as archive:
        archive.extractall(directory, filter="data")
    return next(path for path in directory.iterdir() if path.is_dir())


@pytest.mark.parametrize("release", RELEASES)
def test_prometheus_clients_own_tests_pass(tmp_path: Path, release: str) -> None:
    source = unpacked_source(release, tmp_path)
    shutil.copy(ROOT / "tests" / "upstream_conftest.py", source / "tests" / "conftest.py")
    (source / "pytest.ini").write_text("[pytest]\n")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/test_multiprocess.py", "tests/test_core.py"],
        cwd=source,
        env={
            **{name: text for name, text in os.environ.items() if not name.startswith("PYTEST")},
            "PYTHONPATH": f"{source}:{ROOT}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    passed = re.search(r"(\d+) passed", ended.stdout)
    assert passed is not None
    assert int(passed[1]) > 100
    assert "skipped" not in ended.stdout
