"""The command driver, with real child processes."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone, StepNotSent
from scenarios.drivers.child.process import MAX_OUTPUT
from scenarios.drivers.command import Command, CommandArguments

from .conftest import Platform, child_processes


@pytest.fixture(autouse=True)
def allowed(settings: Settings) -> None:
    settings.ALLOWED_COMMANDS = ("sh", "env", "cat", "/bin/echo", "no-such-command")
    settings.ALLOWED_COMMAND_VARIABLES = {"sh": {"N", "PATH"}, "env": {"OWN"}}


def asked(*run: str, **words: Any) -> CommandArguments:
    return CommandArguments.model_validate({"run": list(run), **words})


async def run(*words: str, **more: Any) -> dict[str, Any]:
    return dict(await Command().probe(asked(*words, **more), Platform()))


async def test_command_returns_exit_code_output_and_time() -> None:
    seen = await run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert (seen["exit_code"], seen["stdout"], seen["stderr"]) == (3, "out\n", "err\n")
    assert 0 < seen["elapsed"] < 30


async def test_arguments_are_passed_without_a_shell() -> None:
    assert (await run("/bin/echo", "$HOME; *", "a  b"))["stdout"] == "$HOME; * a  b\n"


async def test_cwd_env_and_stdin_reach_the_command(tmp_path: Path) -> None:
    seen = await run("sh", "-c", "pwd; echo $N; cat", cwd=str(tmp_path), env={"N": 5}, stdin="told")
    assert seen["stdout"] == f"{tmp_path}\n5\ntold"


async def test_the_coordinator_s_environment_is_scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "DATABASE_URL", "SCENARIO_SECRET_TOKEN", "HOME"):
        monkeypatch.setenv(name, "for the coordinator alone")
    seen = await run("env", env={"OWN": "1"})
    names = {line.partition("=")[0] for line in seen["stdout"].splitlines()}
    assert names <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "OWN"}
    assert "OWN=1" in seen["stdout"]


async def test_a_command_killed_by_a_signal_has_its_number_as_a_negative_exit_code() -> None:
    assert (await run("sh", "-c", "kill -TERM $$"))["exit_code"] == -signal.SIGTERM


async def test_action_fails_on_a_nonzero_exit_code_with_its_output() -> None:
    with pytest.raises(StepFailed, match="'sh' ended with exit code 2: 'no route'"):
        await Command().act(asked("sh", "-c", "echo no route >&2; exit 2"), Platform())
    with pytest.raises(StepFailed, match=r"'sh' ended with exit code 1, and wrote nothing$"):
        await Command().act(asked("sh", "-c", "exit 1"), Platform())
    assert (await Command().act(asked("sh", "-c", "true"), Platform()))["exit_code"] == 0


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_output_is_cut_after_64_kib_with_a_note(stream: str) -> None:
    to = ">&2" if stream == "stderr" else ""
    seen = await run("sh", "-c", f"head -c 200000 /dev/zero | tr '\\0' x {to}")
    assert seen[stream] == "x" * MAX_OUTPUT
    assert seen["note"] == f"{200_000 - MAX_OUTPUT} more bytes of {stream} were cut"


async def test_invalid_utf8_is_replaced() -> None:
    assert (await run("sh", "-c", r"printf 'a\377b'"))["stdout"] == "a\ufffdb"


class Pipe:
    """A named pipe: reading blocks until the command opens it, and ends when all who hold it have died."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pipe"
        os.mkfifo(self.path)

    async def first_line(self) -> str:
        self._file = await asyncio.to_thread(self.path.open)
        return await asyncio.to_thread(self._file.readline)

    async def ended(self) -> str:
        with self._file:
            return await asyncio.to_thread(self._file.read)


def starting_others(pipe: Pipe, **words: Any) -> CommandArguments:
    script = 'exec 3>"$1"; echo started >&3; for i in 1 2; do sh -c "sleep 600 & wait" & done; wait'
    return asked("sh", "-c", script, "sh", str(pipe.path), **words)


async def test_stop_kills_the_command_and_its_processes(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    step = asyncio.create_task(Command().act(starting_others(pipe), Platform()))
    assert await pipe.first_line() == "started\n"
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert await pipe.ended() == ""


async def test_timeout_kills_the_command_and_its_processes(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    step = asyncio.create_task(Command().act(starting_others(pipe, timeout="300ms"), Platform()))
    assert await pipe.first_line() == "started\n"
    with pytest.raises(StepFailed, match="was still running after 300ms; it was killed"):
        await step
    assert await pipe.ended() == ""


async def test_processes_left_running_end_with_the_command(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    script = 'exec 3>"$1"; echo started >&3; sleep 600 & echo done'
    step = asyncio.create_task(Command().act(asked("sh", "-c", script, "sh", str(pipe.path)), Platform()))
    assert await pipe.first_line() == "started\n"
    assert (await step)["stdout"] == "done\n"
    assert await pipe.ended() == ""


async def test_command_that_kills_its_keeper_fails_and_leaves_nothing_running(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    script = 'exec 3>"$1"; echo started >&3; kill -9 $PPID; sleep 600'
    step = asyncio.create_task(Command().act(asked("sh", "-c", script, "sh", str(pipe.path)), Platform()))
    assert await pipe.first_line() == "started\n"
    with pytest.raises(StepFailed, match="killed the process that supervises it"):
        await step
    assert await pipe.ended() == ""


# A daemon by the book: forked twice, in a session of its own, deaf to SIGTERM; its child is so again.
DAEMON = (
    'exec 3>"$1"; trap "" TERM HUP INT; '
    "(setsid sh -c '(setsid sh -c \"echo started >&3; sleep 600\" &) ; sleep 600' &) ; "
)


@pytest.mark.parametrize("then", ["sleep 600", "kill -TERM 0; sleep 600"], ids=["waits", "kills its group"])
async def test_stop_kills_processes_outside_the_process_group(tmp_path: Path, then: str) -> None:
    pipe = Pipe(tmp_path)
    step = asyncio.create_task(
        Command().act(asked("sh", "-c", DAEMON + then, "sh", str(pipe.path)), Platform())
    )
    assert await pipe.first_line() == "started\n"
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert await pipe.ended() == ""


async def test_daemon_ends_with_the_command(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    script = DAEMON + "sleep 0.2; echo done"
    step = asyncio.create_task(Command().act(asked("sh", "-c", script, "sh", str(pipe.path)), Platform()))
    assert await pipe.first_line() == "started\n"
    seen = await step
    assert (seen["stdout"], seen["elapsed"] < 60) == ("done\n", True)
    assert await pipe.ended() == ""


async def test_orphans_are_reaped_while_the_command_runs() -> None:
    children_of_the_keeper = "cat /proc/$PPID/task/*/children | wc -w"
    script = f'for i in 1 2 3 4 5; do (sh -c "sleep 0" &); done; sleep 0.5; {children_of_the_keeper}'
    assert (await run("sh", "-c", script))["stdout"] == "1\n"


@pytest.mark.parametrize("before", ['exec 3>"$1"; echo started >&3; ', DAEMON], ids=["group", "daemon"])
async def test_command_is_killed_when_the_coordinator_dies(tmp_path: Path, before: str) -> None:
    pipe = Pipe(tmp_path)
    program = (
        "import asyncio, sys; from scenarios.drivers.child.process import run_child;"
        "asyncio.run(run_child(['/bin/sh', '-c', *sys.argv[1:]]))"
    )
    script = before + "sleep 600"
    coordinator = subprocess.Popen([sys.executable, "-c", program, script, "sh", str(pipe.path)])
    assert await pipe.first_line() == "started\n"
    coordinator.kill()
    coordinator.wait()
    assert await pipe.ended() == ""


def descriptors() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


async def test_no_descriptor_and_no_child_process_is_leaked(tmp_path: Path) -> None:
    before = descriptors(), child_processes()
    for _ in range(5):
        await run("sh", "-c", "echo x")
    assert (descriptors(), child_processes()) == before


def test_command_that_is_not_allowed_is_refused_when_the_document_is_read() -> None:
    with pytest.raises(
        ValidationError, match="'/bin/sh' is not allowed on this site: ALLOWED_COMMANDS names 'sh'"
    ):
        asked("/bin/sh", "-c", "true")


async def test_command_is_checked_again_before_it_runs(settings: Settings) -> None:
    saved = asked("sh", "-c", "true")
    settings.ALLOWED_COMMANDS = ()
    with pytest.raises(StepImpossible, match="'sh' is not allowed on this site: ALLOWED_COMMANDS names none"):
        await Command().act(saved, Platform())


async def test_variable_cannot_bypass_the_allowed_commands() -> None:
    arguments = asked("${shell}", "-c", "true")
    with pytest.raises(StepImpossible, match="is not allowed"):
        await Command().act(arguments, Platform())


async def test_path_in_env_does_not_choose_the_program(tmp_path: Path) -> None:
    (tmp_path / "sh").write_text("#!/bin/cat\nnot this one\n")
    (tmp_path / "sh").chmod(0o755)
    seen = await run("sh", "-c", "echo the real one", env={"PATH": str(tmp_path)})
    assert seen["stdout"] == "the real one\n"


RUNS_ANOTHER_PROGRAM = [
    "HOME",
    "KUBECONFIG",
    "GIT_SSH_COMMAND",
    "JAVA_TOOL_OPTIONS",
    "LD_PRELOAD",
    "EDITOR",
    "path",
    "OWN",
]


@pytest.mark.parametrize("name", RUNS_ANOTHER_PROGRAM)
def test_environment_variable_that_is_not_allowed_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=rf"'{name}' may not be set for 'sh' .* names 'N', 'PATH'"):
        asked("sh", "-c", "true", env={"N": "1", name: "/opt/x"})


async def test_environment_is_checked_again_before_the_command_runs(
    settings: Settings,
) -> None:
    hidden = asked("${shell}", "-c", "true", env={"HOME": "/opt/x"})
    hidden.run[0] = "sh"
    saved = asked("sh", "-c", "true", env={"N": "1"})
    settings.ALLOWED_COMMAND_VARIABLES = {"sh": frozenset()}
    for arguments, name in ((hidden, "HOME"), (saved, "N")):
        with pytest.raises(StepImpossible, match=f"'{name}' may not be set for 'sh' .* names none for it"):
            await Command().act(arguments, Platform())


async def test_missing_program_makes_the_step_impossible() -> None:
    with pytest.raises(StepImpossible, match="'no-such-command' is not installed"):
        await run("no-such-command")


async def test_missing_folder_means_the_step_was_not_sent() -> None:
    with pytest.raises(StepNotSent, match="cannot be run in '/no/such/folder'"):
        await run("sh", "-c", "true", cwd="/no/such/folder")


@pytest.mark.parametrize(
    "words",
    [
        {"run": []},
        {"run": "sh -c true"},
        {"run": ["sh"], "cwd": "relative"},
        {"run": ["sh"], "env": {"LD_PRELOAD": "/opt/x.so"}},
        {"run": ["sh"], "env": {"BASH_ENV": "/opt/x"}},
        {"run": ["sh"], "env": {"a b": "c"}},
        {"run": ["sh"], "env": {"N": ["c"]}},
        {"run": ["sh"], "shell": True},
    ],
)
def test_invalid_arguments_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CommandArguments.model_validate(words)


async def test_only_exit_codes_in_ok_count_as_done() -> None:
    for code in (2, 3):
        words = asked("sh", "-c", f"exit {code}", ok=[2, 3])
        assert (await Command().act(words, Platform()))["exit_code"] == code
    with pytest.raises(StepNotDone, match="exit code 0"):
        await Command().act(asked("sh", "-c", "exit 0", ok=[2]), Platform())
    killed = asked("sh", "-c", "kill -KILL $$", ok=[-9])
    assert (await Command().act(killed, Platform()))["exit_code"] == -9


@pytest.mark.parametrize("ok", [[], [256], [-65], ["0"], 0])
def test_ok_must_be_a_list_of_exit_codes(ok: Any) -> None:
    with pytest.raises(ValidationError):
        asked("sh", ok=ok)
