"""A fault proxy as a process of its own, in front of one upstream."""

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.servers.coordinator import PROJECT

TOKEN = "open-sesame"


@dataclass
class RunningProxy:
    """`listener` is where clients connect, the first of all `listeners`; `control` the URL of its API."""

    process: subprocess.Popen[str]
    listener: str
    control: str
    listeners: tuple[str, ...] = ()

    def ask(self, method: str, path: str) -> Any:
        connection = http.client.HTTPConnection(self.control.removeprefix("http://"), timeout=300)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {TOKEN}"})
            return json.loads(connection.getresponse().read() or b"{}")
        finally:
            connection.close()

    @property
    def faults(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/faults")
        return found


@contextmanager
def running_fault_proxy(upstream: str, *, listeners: int = 1, token: str = TOKEN) -> Iterator[RunningProxy]:
    """In front of HOST:PORT. It ends with the block, whatever happened to its process."""
    pair = ("--listen", "127.0.0.1:0", "--upstream", upstream)
    with subprocess.Popen(
        [sys.executable, "-m", "injector", *pair * listeners, "--control", "127.0.0.1:0"],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "FAULT_PROXY_TOKEN": token},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = "".join(process.stdout.readline() for _ in range(listeners + 1))
            names = tuple(re.findall(r"^(\S+) leads to", said, re.MULTILINE))
            control = re.findall(r"Control API on (http://\S+)", said)[0]
            yield RunningProxy(process, names[0], control, names)
        finally:
            process.kill()
