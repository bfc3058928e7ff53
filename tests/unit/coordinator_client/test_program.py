"""The program as a person starts it: closed pipes, narrow terminals, no home, odd servers, completion."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator_client import following
from coordinator_client.command_line import program
from tests.servers.loopback import free_port
from tests.servers.scripted_api import Answer, problem, scripted_api
from tests.servers.scripted_runs import END, RUN, event, run_row, stream

PROJECT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "coordinator_client.command_line.program"]
MOMENT = "2026-11-27T03:00:00Z"
NAMES = [f"scenario-number-{number}" for number in range(2000)]


def scenarios(*names: str) -> Answer:
    fields = {"title": "A title of some length", "description": "", "tags": [], "changed_at": MOMENT}
    rows = [{"name": name, **fields, "last_run": None} for name in names]
    return Answer({"items": rows, "next_cursor": None})


EMPTY = Answer({"items": [], "next_cursor": None})


def environment(server: str = "", **more: str) -> dict[str, str]:
    here = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "TEST_COORDINATOR_SERVER": server}
    return {**here, "HOME": "/nonexistent", "TEST_COORDINATOR_TOKEN": "tc_secret-of-the-tests", **more}


def start(*words: str, server: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        env=environment(server, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = program.main(words)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_program_imports_neither_django_nor_the_coordinator() -> None:
    script = (
        "import sys\nfrom coordinator_client.command_line.program import build_parser, connect\n"
        "from coordinator_client.command_line.verbs import Place\n"
        "build_parser(); connect(Place('http://127.0.0.1:1'))\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & set(sys.argv[1].split())))"
    )
    heavy = "django scenarios coordinator_site metrics_app requests aiohttp pydantic argcomplete yaml tomllib"
    done = subprocess.run(
        [sys.executable, "-c", script, heavy], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_output_into_a_closed_pipe_ends_quietly() -> None:
    with scripted_api(scenarios(*NAMES)) as server:
        process = subprocess.Popen(
            [*COMMAND, "list"],
            env=environment(server.url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout
        process.stdout.close()
        _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (141, b"")


@pytest.mark.parametrize("verb", [("runs", "--watch"), ("events", "--after", "0")])
def test_waiting_verb_ends_when_its_reader_has_gone(verb: tuple[str, ...]) -> None:
    """As with 'head': nothing more is written that would notice it."""
    data = json.loads(event(1).decode().partition("data: ")[2])
    feed = f"id: 1\ndata: {json.dumps({**data, 'run': RUN, 'scenario': 'short'})}\n\n".encode()
    answer = stream(feed) if verb[0] == "events" else Answer({"items": [run_row()], "next_cursor": None})
    with scripted_api(answer) as server:
        process = subprocess.Popen(
            [*COMMAND, *verb], env=environment(server.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout
        assert b"short" in process.stdout.readline()
        process.stdout.close()
        _, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (141, b"")


@pytest.mark.parametrize("locale", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}])
def test_programs_get_utf_8_in_any_locale(locale: dict[str, str]) -> None:
    with scripted_api(scenarios("日本-é")) as server:
        done = subprocess.run(
            [*COMMAND, "list"],
            env=environment(server.url, **locale),
            capture_output=True,
            check=False,
            timeout=600,
        )
    assert (done.returncode, "日本-é" in done.stdout.decode()) == (0, True), done.stderr


def show_on_terminal(*words: str, **variables: str) -> bytes:
    """What the command writes to a pseudo-terminal with these environment variables."""
    parent, child = pty.openpty()
    try:
        process = subprocess.Popen([*COMMAND, *words], env=variables, stdout=child, stderr=child)
        os.close(child)
        shown = b""
        try:
            while piece := os.read(parent, 65536):
                shown += piece
        except OSError:  # the terminal is closed
            pass
        assert process.wait(600) == 0, shown
        return shown
    finally:
        os.close(parent)


def test_terminal_that_has_no_such_character_gets_its_number() -> None:
    with scripted_api(scenarios("日本-é")) as server:
        shown = show_on_terminal("list", **environment(server.url, PYTHONIOENCODING="latin-1", TERM="dumb"))
    assert "\\u65e5\\u672c-é".encode("latin-1") in shown


def test_narrow_terminal_gets_whole_names() -> None:
    with scripted_api(scenarios("exchange-latency-of-a-quarter")) as server:
        wanted = environment(server.url, COLUMNS="40", TERM="xterm")
        shown = show_on_terminal("list", "--no-color", **wanted)
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())
    assert "exchange-latency-of-a-quarter" in text.split()
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 40


def test_no_color_is_respected() -> None:
    done = start("list", server=f"http://127.0.0.1:{free_port()}", NO_COLOR="1", FORCE_COLOR="1")
    assert (done.returncode, "\x1b[3" in done.stderr) == (9, False)
    assert "cannot be reached: Connection refused" in done.stderr
    forced = {"FORCE_COLOR": "1", "TERM": "xterm"}
    with scripted_api(Answer({"user": "ada", "permissions": [], "token": None})) as server:
        for more, is_styled in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
            styled = start("whoami", server=server.url, **{**forced, **more})
            assert ("\x1b[1mada" in styled.stdout, "\x1b[" in styled.stdout) == (is_styled, is_styled)
    with scripted_api(scenarios("slow")) as server:  # a CI job that forces colours still reads cells
        assert start("list", server=server.url, **forced).stdout.startswith("slow\tA title")


def test_without_a_home_and_a_server_one_sentence_says_what_to_do() -> None:
    done = start("list", HOME="")
    assert done.returncode == 2
    assert "No coordinator is named; set TEST_COORDINATOR_SERVER" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("answer", "words", "expected"),
    [
        (Answer(b"<h1>Log in</h1>", 200, {"Content-Type": "text/html"}), "answered 200 with 'text/html'", 9),
        (
            Answer(b"<h1>Bad gateway</h1>", 403, {"Content-Type": "text/html"}),
            "answered 403 without a reason",
            9,
        ),
        (problem(401, "The token is unknown."), "Set the token in TEST_COORDINATOR_TOKEN", 8),
        (problem(403, "The token lacks the scope."), "lacks the scope", 8),
        (problem(404, "There is no such run."), "no such run", 7),
        (Answer({"items": [{"name": 5}], "next_cursor": None}), "no valid 'id'", 2),
        (
            Answer(
                {"title": "", "code": "no_such_address", "status": 404, "detail": "?", "errors": []},
                404,
                {"Content-Type": "application/problem+json"},
            ),
            "is older than this client",
            2,
        ),
    ],
)
def test_odd_servers_are_explained_in_one_sentence(
    answer: Answer,
    words: str,
    expected: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_COORDINATOR_TOKEN", "tc_secret-of-the-tests")
    with scripted_api(answer) as server:
        code, out, err = call(capsys, "--server", server.url, "runs")
    assert (code, out) == (expected, "")
    assert words in err
    assert "secret-of-the-tests" not in err


def test_options_are_accepted_before_and_after_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_api(EMPTY) as server:
        for words in (("--server", server.url, "runs", "--json"), ("runs", "--json", "--server", server.url)):
            code, out, _ = call(capsys, *words)
            assert (code, json.loads(out)) == (0, {"items": []})


def test_a_coordinator_of_0_1_0_is_asked_for_the_newest_run_of_each_scenario(
    capsys: pytest.CaptureFixture[str],
) -> None:
    old = scenarios("short")
    del old.body["items"][0]["last_run"]
    newest = run_row("failed", rollback="dirty")
    with scripted_api(old, Answer({"items": [newest], "next_cursor": None})) as server:
        _, out, _ = call(capsys, "--server", server.url, "list")
    assert out == "short\tA title of some length\tfailed, rollback dirty\n"
    assert "scenario=short" in server.asked[1].path


def test_an_undo_that_is_refused_again_and_again_is_not_told_each_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tries = [event(number, "fault_undo_failed", reason="answered 503") for number in range(1, 7)]
    tries.append(event(7, "fault_undone"))
    with scripted_api(Answer(run_row("running")), stream(*tries, END), Answer(run_row())) as server:
        out = call(capsys, "--server", server.url, "run", "short")[1]
    line = "  ✗ undo of é failed: answered 503"
    told = [line, f"{line} (time 2)", f"{line} (time 4)", "  ↩ undone: é"]
    assert out.splitlines()[1:5] == told


def test_server_that_goes_away_in_the_middle_is_explained_with_the_way_to_continue(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MAX_OUTAGE_SECONDS", 0.2)
    row = run_row("running", rollback=None)
    page = Answer({"items": [row], "next_cursor": None})
    cut = (stream(event(1), event(2)), Answer(cut=True))
    with scripted_api(page, Answer(row), *cut) as server:
        code, out, err = call(capsys, "--server", server.url, "follow", RUN[:8])
    assert (code, len(out.splitlines())) == (9, 2)
    assert "cannot be reached" in err
    command = f"test-coordinator follow {RUN[:8]} --after 2 --server {server.url}"
    assert f"Continue with '{command}'." in " ".join(err.split())
    with scripted_api(Answer(row), *cut) as server:
        code, out, err = call(capsys, "--server", server.url, "run", "short")
    assert (code, out.splitlines()[0]) == (9, f"Run {RUN} of short")
    assert "The run may continue; show it with 'test-coordinator follow 8f14e45f --server " in " ".join(
        err.split()
    )


def complete(line: str, shell: str, server: str) -> list[str]:
    """What argcomplete's script of the shell would be answered."""
    read, write = os.pipe()
    own = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SHELL": shell,
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "",
        "_ARGCOMPLETE_STDOUT_FILENAME": f"/dev/fd/{write}",
    }
    process = subprocess.Popen([*COMMAND], env=environment(server, **own), pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as opened:
        found = opened.read().splitlines()
    assert process.wait(300) == 0
    return [word.partition("\t")[0].partition(":")[0].strip() for word in found]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_verbs_options_and_stored_names(shell: str) -> None:
    with scripted_api(scenarios("exchange-errors", "exchange-latency", "slow-day")) as server:
        assert complete("test-coordinator follo", shell, server.url) == ["follow"]
        assert complete("test-coordinator run exchange-", shell, server.url) == [
            "exchange-errors",
            "exchange-latency",
        ]
        assert [request.path for request in server.asked] == ["/api/v1/scenarios?limit=200"]
    with scripted_api(Answer({"items": [run_row()], "next_cursor": None})) as server:
        assert complete("test-coordinator follow ", shell, server.url) == [RUN[:8]]
        assert complete("test-coordinator run short --no", shell, server.url) == [
            "--no-color",
            "--no-queue",
            "--no-wait",
        ]
        assert [request.path for request in server.asked] == ["/api/v1/runs?limit=30"]
    document = "spec: {variables: {delay_ms: {description: Added to each answer}, hold: 3s}}"
    stored = scenarios("short").body["items"][0]
    with scripted_api(Answer({**stored, "document": document})) as server:
        assert complete("test-coordinator run short --var ", shell, server.url) == ["delay_ms=", "hold="]
    assert complete("test-coordinator run exchange-", shell, f"http://127.0.0.1:{free_port()}") == []
    assert complete("test-coordinator report --format h", shell, "") == ["html"]
    assert complete("test-coordinator --profile ", shell, "") == []
    script = start("completion", shell).stdout
    assert "test-coordinator" in script


def test_bash_accepts_its_script() -> None:
    script = start("completion", "bash").stdout
    done = subprocess.run(
        ["bash", "-c", f"{script}\ncomplete -p test-coordinator"], capture_output=True, text=True, check=False
    )
    assert "_python_argcomplete" in done.stdout, done.stderr


def test_profiles_are_listed_without_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    code, out, err = call(capsys, "profiles")
    assert (code, out, "There are no profiles in" in err) == (0, "", True)
    (tmp_path / "test-coordinator").mkdir()
    file = tmp_path / "test-coordinator" / "profiles.toml"
    file.write_text('default = "a"\n[a]\nserver = "https://a.example"\ntoken = "tc_hidden"\n')
    file.chmod(0o600)
    _, out, _ = call(capsys, "profiles")
    assert "https://a.example" in out
    assert "hidden" not in out
    _, out, _ = call(capsys, "profiles", "--json")
    assert json.loads(out)["items"][0]["default"] is True
