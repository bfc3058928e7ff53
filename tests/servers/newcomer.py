"""A user who knows the command line, but not the services."""

import json
from pathlib import Path
from typing import Any

from tests.servers.loopback import wait_for
from tests.servers.plain_system import QUICK, PlainSystem


class Newcomer:
    """Asks: does the front survive, and how fast does it recover?"""

    def __init__(self, system: PlainSystem) -> None:
        self._system = system

    def register(self, name: str, url: str, *options: str) -> None:
        self._type("service", "add", name, "--url", url, *options)

    def register_host(self, name: str, address: str) -> None:
        self._type("host", "add", name, "--ssh", address, "--label", "role=shop")

    def start(self, scenario: str, path: str, dependency: str, **variables: str) -> str:
        """The id of the run."""
        given = {**QUICK, "service": "front", "path": path, "dependency": dependency, **variables}
        words = [word for name, value in given.items() for word in ("--var", f"{name}={value}")]
        return self._type("run", scenario, *words, "--detach").strip()

    def run_suite(self, file: Path, name: str) -> dict[str, Any]:
        """Import the suite and run it; returns its matrix."""
        self._type("import", str(file))
        self._type("suite", "run", name)
        matrix: dict[str, Any] = json.loads(self._type("suite", "show", name, "--json"))
        return matrix

    def wait(self) -> None:
        wait_for(lambda: not self._system.count_unended(), what="every run has ended")

    def report(self, run_id: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self._type("report", run_id, "--format", "json"))
        return report

    def _type(self, *words: str) -> str:
        return self._system.commands.manage("scenario", *words)
