"""`login` stores the address and the token of a coordinator, where nobody else can read them."""

import io
import json
import os
import pty
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator_client import profile_file
from coordinator_client.command_line import program
from coordinator_client.errors import SettingsError
from tests.servers.loopback import free_port
from tests.servers.scripted_api import Answer, problem, scripted_api

PROJECT = Path(__file__).resolve().parents[3]
TOKEN = "tc_secret-of-the-tests"
IDENTITY = Answer({"user": "ada", "permissions": [], "token": None})
WRITTEN = """# ours
default = "a"

[a] # the first one
server = "https://a.example"
token = "tc_a"
["b.example"]
server = 'https://b.example'

[c]
server = "https://c.example"
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("TEST_COORDINATOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "test-coordinator" / "profiles.toml"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    def call(*words: str, typed: str = f"{TOKEN}\n") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
        code = program.main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def read(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text())


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text)
    file.chmod(0o600)


def test_accepted_token_is_stored_for_its_owner_only_and_used(call: Call, file: Path) -> None:
    with scripted_api(IDENTITY) as server:
        code, out, err = call("login", f"{server.url}/")
        assert (code, err, TOKEN in out) == (0, "", False)
        assert call("whoami")[0] == 0
    name = server.url.removeprefix("http://")
    assert out == (f"Logged in as ada. The profile {name} is stored in {file}; it is the default.\n")
    assert read(file) == {"default": name, name: {"server": server.url, "token": TOKEN}}
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    assert list(file.parent.iterdir()) == [file]
    assert [asked.headers["Authorization"] for asked in server.asked] == [f"Bearer {TOKEN}"] * 2


@pytest.mark.parametrize("typed", ["", "\n", f"{TOKEN}\n"])
def test_nothing_is_stored_without_a_token_or_with_a_refused_one(call: Call, file: Path, typed: str) -> None:
    with scripted_api(problem(401, "The token is unknown.")) as server:
        code, out, err = call("login", server.url, typed=typed)
    assert (code, out, TOKEN in err) == (8 if typed.strip() else 2, "", False)
    assert ("does not accept this token, so nothing" if typed.strip() else "No token was given") in err
    assert not file.exists()


def test_coordinator_that_is_away_stores_nothing(call: Call, file: Path) -> None:
    code, _, err = call("login", f"http://127.0.0.1:{free_port()}")
    assert (code, "cannot be reached" in err, file.exists()) == (9, True, False)


def test_other_profiles_stay_when_one_is_replaced(call: Call, file: Path) -> None:
    write(file, WRITTEN)
    with scripted_api(IDENTITY) as server:
        code, out, _ = call("login", server.url, "--profile", "b.example", "--json")
    assert (code, json.loads(out)["default"]) == (0, False)
    assert read(file) == {**tomllib.loads(WRITTEN), "b.example": {"server": server.url, "token": TOKEN}}
    assert file.read_text().startswith('# ours\ndefault = "a"\n\n[a] # the first one\n')


def test_new_token_of_the_default_leaves_it_the_default(call: Call, file: Path) -> None:
    with scripted_api(IDENTITY, IDENTITY) as server:
        call("login", server.url)
        name = server.url.removeprefix("http://")
        code, out, _ = call("login", "--profile", name, typed="tc_new\n")
    assert (code, out) == (
        0,
        f"Logged in as ada. The profile {name} is stored in {file}; it is the default.\n",
    )
    assert read(file)["default"] == name


def test_profile_that_is_named_keeps_its_address_and_becomes_the_default(call: Call, file: Path) -> None:
    with scripted_api(IDENTITY) as server:
        write(file, WRITTEN.replace("https://c.example", server.url))
        code, out, _ = call("login", "--profile", "c", "--default")
    assert (code, "it is the default" in out) == (0, True)
    assert (read(file)["default"], read(file)["c"]) == ("c", {"server": server.url, "token": TOKEN})
    code, out, _ = call("logout", "c")
    assert (code, out) == (0, f"Removed the profile c from {file}.\n")
    assert sorted(read(file)) == ["a", "b.example"]
    code, _, err = call("logout", "c")
    assert (code, "There is no profile 'c'" in err) == (2, True)


def test_link_to_the_file_stays_a_link(call: Call, file: Path, tmp_path: Path) -> None:
    write(file, "")
    file.rename(tmp_path / "versioned.toml")
    file.symlink_to(tmp_path / "versioned.toml")
    with scripted_api(IDENTITY) as server:
        assert call("login", server.url)[0] == 0
    assert (file.is_symlink(), read(tmp_path / "versioned.toml")["default"]) == (
        True,
        server.url.removeprefix("http://"),
    )


@pytest.mark.parametrize("text", ['a = {server = "https://a.example"}\n', 'x = """\n[a]\n"""\n[a]\n'])
def test_file_that_cannot_be_changed_line_by_line_is_left_alone(file: Path, text: str) -> None:
    write(file, text)
    with pytest.raises(SettingsError, match="change it with an editor"):
        profile_file.store_profile("a", {"server": "https://b.example"}, as_default=False)
    assert file.read_text() == text


def test_names_and_paths_with_quotes_are_written_as_toml(file: Path) -> None:
    table = {"server": "https://a.example", "ca": '/tmp/"own"\\ca.pem'}  # noqa: S108 - never opened
    profile_file.store_profile('a "b" ü', table, as_default=True)
    assert read(file) == {"default": 'a "b" ü', 'a "b" ü': table}


def test_folder_that_cannot_be_written_is_one_sentence(call: Call, file: Path) -> None:
    file.parent.parent.write_text("not a folder")
    with scripted_api(IDENTITY) as server:
        code, _, err = call("login", server.url)
    assert (code, f"Cannot write '{file}': " in err) == (2, True), err


def test_variables_that_take_precedence_are_named(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_COORDINATOR_SERVER", "https://other.example")
    with scripted_api(IDENTITY) as server:
        _, _, err = call("login", server.url)
    assert "TEST_COORDINATOR_SERVER is set, and takes precedence" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("login",), "Give the address of the coordinator"),
        (("login", "https://a.example", "--server", "https://b.example"), "Give one address"),
        (("login", "a.example"), "did you mean 'http://a.example'?"),
        (("login", "--profile", "x"), "There is no profile 'x'"),
    ],
)
def test_login_without_one_address_is_refused(call: Call, words: tuple[str, ...], sentence: str) -> None:
    code, out, err = call(*words)
    assert (code, out, sentence in err) == (2, "", True), err


def test_typed_token_is_not_shown(file: Path) -> None:
    parent, child = pty.openpty()
    with scripted_api(IDENTITY) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "coordinator_client.command_line.program", "login", server.url],
            env={**os.environ, "PYTHONPATH": str(PROJECT), "TERM": "dumb"},
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
        )
        os.close(child)
        shown = b""
        while b"Token: " not in shown:
            shown += os.read(parent, 65536)
        os.write(parent, f"{TOKEN}\n".encode())
        try:
            while piece := os.read(parent, 65536):
                shown += piece
        except OSError:  # the terminal is closed
            pass
        assert process.wait(600) == 0, shown
    os.close(parent)
    assert (b"Logged in as" in shown, TOKEN.encode() in shown) == (True, False)
    assert read(file)[server.url.removeprefix("http://")]["token"] == TOKEN
