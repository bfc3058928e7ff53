"""The fault proxy as a process: the client that injected a fault may die."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipapp
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers.coordinator import PROJECT
from tests.servers.loopback import wait_for
from tests.servers.target import running_target

TOKEN = "open-sesame"


class Running:
    def __init__(self, output: str, pid: int) -> None:
        self.pid = pid
        self.listener = re.findall(r"^(\S+) leads to", output, re.MULTILINE)[0]
        self._control = re.findall(r"Control API on http://(\S+)", output)[0]

    def ask(self, method: str, path: str, content: Any = None, token: str = TOKEN) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self._control, timeout=300)
        body = json.dumps(content) if content is not None else None
        connection.request(method, path, body, {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text.startswith(b"{") else text.decode()

    def can_connect(self) -> bool:
        connection = http.client.HTTPConnection(self.listener, timeout=300)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            return False
        finally:
            connection.close()
        return True


def find_command(program: str, folder: Path) -> list[str]:
    """How the proxy is started, as docs/fault-proxy.md says."""
    if program == "manage.py":
        return ["manage.py", "fault_proxy"]
    if program == "folder":
        return ["-m", "injector"]
    shutil.copytree(PROJECT / "injector", folder / "built" / "injector")
    file = folder / "fault-proxy.pyz"
    zipapp.create_archive(folder / "built", file, main="injector.program:start")
    return [str(file)]


@contextmanager
def proxy(program: str, upstream: str, token: Path, *options: str) -> Iterator[Running]:
    token.write_text(f"{TOKEN}\n")
    addresses = ("--listen", "127.0.0.1:0", "--upstream", upstream, "--control", "127.0.0.1:0")
    with (
        (token.parent / "log").open("w") as log,
        subprocess.Popen(
            [
                sys.executable,
                *find_command(program, token.parent),
                *addresses,
                "--token-file",
                str(token),
                *options,
            ],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(token.parent)},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        yield Running(process.stdout.readline() + process.stdout.readline(), process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0


@pytest.mark.parametrize("program", ["manage.py", "one file"])
def test_a_fault_that_nobody_renews_ends_by_itself(program: str, tmp_path: Path) -> None:
    with running_target("127.0.0.1") as target:
        upstream = target.url.removeprefix("http://")
        with proxy(program, upstream, tmp_path / "token") as running:
            assert running.can_connect()
            fault = {"listener": running.listener, "lease": 5, "fault": {"refuse": True}}
            assert running.ask("PUT", "/faults/f1", fault)[0] == 201
            assert not running.can_connect()
            wait_for(running.can_connect, what="the fault has ended")
            assert running.ask("POST", "/faults/f1/renew", {"lease": 5})[0] == 404


def test_configuration_and_token_are_changed_while_it_runs(tmp_path: Path) -> None:
    config, token, log = (tmp_path / name for name in ("proxy.json", "token", "log"))
    listener = {"listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}
    config.write_text(json.dumps({"listeners": []}))
    with proxy("folder", "127.0.0.1:1", token, "--config", str(config)) as running:
        fault = {"listener": running.listener, "lease": 600, "fault": {"latency": 1}}
        assert running.ask("PUT", "/faults/f1", fault)[0] == 201

        def count_listeners() -> int:
            return len(running.ask("GET", "/listeners")[1])

        config.write_text(json.dumps({"listeners": [listener]}))
        wait_for(lambda: count_listeners() == 2, what="the new listener is there")
        config.write_text("{")
        wait_for(lambda: "the configuration stays as it was" in log.read_text(), what="it is refused")
        assert (count_listeners(), running.ask("GET", "/faults/f1")[0]) == (2, 200)
        config.write_text(json.dumps({"listeners": [listener, listener]}))
        os.kill(running.pid, signal.SIGHUP)
        wait_for(lambda: count_listeners() == 3, what="the signal is followed")
        token.write_text("changed\n")
        assert running.ask("GET", "/faults")[0] == 401
        assert list(running.ask("GET", "/faults", token="changed")[1]) == ["f1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to listen on"),
        (("--listen", "127.0.0.1:0"), "one --upstream for each --listen"),
        (("--listen", "127.0.0.1:0", "--upstream", "here"), "no control API"),
        (("--listen", "a:1", "--upstream", "here", "--control", "a:1"), "'here' is not an address"),
        (("--config", "/nowhere.json"), "cannot be read"),
    ],
)
def test_invalid_options_are_refused(arguments: tuple[str, ...], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "injector", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert words in done.stderr
