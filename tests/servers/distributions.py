"""The distributions of this repository, and environments that have nothing but what a test installs."""

import subprocess
import sys
from pathlib import Path

from tests.servers.coordinator import PROJECT

CLIENT = PROJECT / "coordinator_client"
METRICS = PROJECT / "metrics_app"


def run_uv(*words: str) -> None:
    # The real home: its cache has the packages that other tests have installed.
    command = [sys.executable, "-m", "uv", "--system-certs", "--quiet", *words]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=600)


def build_distributions(folder: Path, project: Path, *options: str) -> None:
    """The source distribution, and the wheel from that; or with `--wheel` the wheel alone."""
    run_uv("build", "--out-dir", str(folder), *options, str(project))


class EmptyEnvironment:
    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        run_uv("venv", "--python", sys.executable, str(folder))

    def install(self, *packages: str) -> None:
        run_uv("pip", "install", "--python", str(self.programs / "python"), *packages)
