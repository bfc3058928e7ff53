"""A process of the host program that answers one request after another."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from injector.host.bundle import READER, build_served, build_streamed
from injector.host.program import SERVE_SECONDS
from tests.servers.loopback import wait_for
from tests.servers.target_host import PROGRAM, TargetHost, read_state, sleeper, write_program

GREETING = {"serves": 1}


class Serving:
    """What is written to it, and what it answers."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def send(self, data: bytes) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(data)
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        return self.send(json.dumps({"do": do, **request}).encode() + b"\n")


@contextmanager
def serve(words: Sequence[str], folder: Path) -> Iterator[Serving]:
    command = [sys.executable, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder) as process:
        try:
            yield Serving(process)
        finally:
            process.kill()


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    found = TargetHost(tmp_path)
    return [*found.command[found.command.index("--state") :]]


def test_streamed_program_answers_each_line(tmp_path: Path, options: list[str]) -> None:
    with serve(["-c", READER, *options], tmp_path) as serving:
        assert serving.send(build_served()) == GREETING
        assert serving.send(b"\n") == GREETING
        assert serving.ask("is_present", id="f1") == {"ok": True, "present": False}
        assert serving.send(b"nonsense\n")["reason"] == "the request is not JSON"
        assert serving.ask("break")["code"] == "impossible"
        assert serving.ask("sweep") == {"ok": True, "active": []}
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
        assert serving.process.stdin
        serving.process.stdin.close()
        assert serving.process.wait(600) == 0


@pytest.mark.parametrize("is_installed", [True, False])
def test_installed_program_serves_instead_of_the_streamed_one(
    tmp_path: Path, options: list[str], is_installed: bool
) -> None:
    program = write_program(tmp_path) if is_installed else PROGRAM
    with serve(["-I", str(program), *options], tmp_path) as serving:
        assert serving.send(build_served()) == GREETING
        assert serving.ask("is_present", id="f1") == {"ok": True, "present": False}


def test_faults_of_a_process_outlast_it(tmp_path: Path, options: list[str]) -> None:
    pid_file = tmp_path / "shop.pid"
    fault = {"id": "f1", "lease": 60, "kind": "pause", "arguments": {"pidfile": str(pid_file)}}
    with sleeper(pid_file) as shop:
        with serve(["-c", READER, *options], tmp_path) as serving:
            serving.send(build_served())
            assert serving.ask("inject", **fault)["ok"]
        assert read_state(shop.pid) == "T"
        with serve(["-c", READER, *options], tmp_path) as serving:
            serving.send(build_served())
            assert serving.ask("renew", id="f1", lease=60)["ok"]
            assert serving.ask("remove", id="f1")["was_there"]
            assert read_state(shop.pid) != "T"


def test_guardians_that_have_ended_are_let_go(tmp_path: Path, options: list[str]) -> None:
    pid_file = tmp_path / "shop.pid"
    fault = {"id": "f1", "lease": 60, "kind": "pause", "arguments": {"pidfile": str(pid_file)}}
    with sleeper(pid_file), serve(["-c", READER, *options], tmp_path) as serving:
        serving.send(build_served())
        assert serving.ask("inject", **fault)["ok"]
        assert serving.ask("remove", id="f1")["was_there"]
        pid = serving.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")

        def has_none() -> bool:
            serving.ask("sweep")
            return not children.read_text().split()

        wait_for(has_none, what="nothing is left of the guardian")


def test_policy_of_the_host_is_read_for_each_request(tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    with serve(
        [str(PROGRAM), "--state", str(tmp_path / "state"), "--allow-list", str(rules)], tmp_path
    ) as serving:
        serving.send(build_served())
        assert "this host has no" in serving.ask("describe")["kinds"]["pause"]
        rules.write_text("{}")
        rules.chmod(0o666)
        assert "must belong to root" in serving.ask("describe")["reason"]


def test_process_that_hears_nothing_for_long_ends(tmp_path: Path, options: list[str]) -> None:
    program = write_program(tmp_path)
    text = program.read_text()
    assert f"\nSERVE_SECONDS = {SERVE_SECONDS}\n" in text
    program.write_text(text.replace(f"\nSERVE_SECONDS = {SERVE_SECONDS}\n", "\nSERVE_SECONDS = 1\n"))
    with serve([str(program), *options], tmp_path) as serving:
        assert serving.send(build_served()) == GREETING
        assert serving.process.wait(600) != 0


def test_modules_in_the_folder_of_the_user_are_not_imported(tmp_path: Path, options: list[str]) -> None:
    for name in ("json", "random", "argparse"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the file of the user')\n")
    with serve(["-c", READER, *options], tmp_path) as serving:
        assert serving.send(build_served()) == GREETING
    ended = subprocess.run(
        [sys.executable, "-", *options],
        input=build_streamed('{"do": "is_present", "id": "f1"}'),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert ended.stdout == '{"ok": true, "present": false}\n', ended.stderr


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 7, 16)])
def test_python_that_is_too_old_says_so(tmp_path: Path, version: tuple[int, ...]) -> None:
    """By the first lines, which it must be able to read, whatever follows."""
    text = build_streamed('{"do": "is_present", "id": "f1"}')
    assert text.isascii()  # Python 2 knows nothing else
    pretending = f"import sys\nsys.version_info = {version}\n{text}"
    ended = subprocess.run(
        [sys.executable, "-"], input=pretending, capture_output=True, text=True, cwd=tmp_path, check=True
    )
    answer = json.loads(ended.stdout)
    assert answer["code"] == "impossible"
    assert answer["reason"].endswith("and this host runs it with " + ".".join(map(str, version)))


def test_command_that_reads_the_program_can_be_quoted() -> None:
    assert "'" not in READER
    assert "\n" not in READER
