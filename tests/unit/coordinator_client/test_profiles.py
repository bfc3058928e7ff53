"""The server and the token: from options, the environment and profiles, and never to the wrong server."""

import os
import ssl
import subprocess
from pathlib import Path

import pytest

from coordinator_client.addresses import build_tls_context, find_proxy
from coordinator_client.errors import SettingsError
from coordinator_client.profiles import find_profile_file, read_profile, read_profiles
from coordinator_client.synchronous.client import Client

PROFILES = """
default = "staging"
[staging]
server = "https://staging.example"
token_file = "{folder}/staging.token"
[production]
server = "https://production.example"
token = "tc_production"
ca = "~/own-ca.pem"
[bare]
server = "https://bare.example"
[broken]
sever = "https://x"
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("TEST_COORDINATOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    written = tmp_path / "config" / "test-coordinator" / "profiles.toml"
    written.parent.mkdir(parents=True)
    written.write_text(PROFILES.format(folder=tmp_path))
    written.chmod(0o600)
    (tmp_path / "staging.token").write_text("tc_staging\n")
    return written


def test_default_profile_has_its_token_in_a_file() -> None:
    found = read_profile()
    assert (found.server, found.token, found.source) == (
        "https://staging.example",
        "tc_staging",
        "profile staging",
    )
    assert found.token_source.endswith("/staging.token' of the profile 'staging'")


def test_named_profile_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEST_COORDINATOR_SERVER", "https://other.example")
    monkeypatch.setenv("TEST_COORDINATOR_TOKEN", "tc_other")
    found = read_profile("production")
    assert (found.server, found.token) == ("https://production.example", "tc_production")
    assert found.authority == str(tmp_path / "own-ca.pem")
    assert "tc_production" not in repr(found)
    assert found.token_source == "the profile 'production'"
    assert read_profile("bare").token_source == "TEST_COORDINATOR_TOKEN"
    assert read_profile("bare").token == "tc_other"
    assert read_profile().server == "https://other.example"
    monkeypatch.setenv("TEST_COORDINATOR_PROFILE", "production")
    assert read_profile().server == "https://production.example"


def test_token_of_a_profile_is_not_sent_to_another_server() -> None:
    assert read_profile(server="https://stranger.example").token == ""
    with pytest.raises(SettingsError, match="either '--server' or '--profile'"):
        read_profile("production", server="https://stranger.example")


def test_token_of_the_environment_wins_over_a_profile_that_is_not_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TEST_COORDINATOR_TOKEN", "tc_other")
    assert read_profile().token == read_profile(server="https://staging.example").token == "tc_other"
    assert read_profile("staging").token == "tc_staging"
    monkeypatch.delenv("TEST_COORDINATOR_TOKEN")
    monkeypatch.setenv("TEST_COORDINATOR_TOKEN_FILE", str(tmp_path / "missing"))
    with pytest.raises(SettingsError, match="Cannot read the token file"):
        read_profile()
    assert read_profile("production").token == "tc_production"


def test_server_that_one_profile_has_gets_its_token_and_authority(file: Path, tmp_path: Path) -> None:
    found = read_profile(server="https://production.example/")
    assert (found.token, found.authority) == ("tc_production", str(tmp_path / "own-ca.pem"))
    assert read_profile(server="https://production.example:8443").token == ""
    with file.open("a") as opened:
        opened.write('[again]\nserver = "https://production.example"\ntoken = "tc_again"\n')
    assert read_profile(server="https://production.example").token == ""
    file.write_text(file.read_text().replace('default = "staging"', 'default = "again"'))
    assert read_profile(server="https://production.example").token == "tc_again"
    file.chmod(0o644)
    assert read_profile(server="https://staging.example").token == ""


def test_token_comes_from_a_file_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEST_COORDINATOR_TOKEN_FILE", str(tmp_path / "staging.token"))
    assert read_profile(server="https://a.example").token == "tc_staging"
    monkeypatch.setenv("TEST_COORDINATOR_TOKEN_FILE", str(tmp_path / "missing"))
    with pytest.raises(SettingsError, match=r"Cannot read the token file .*missing': No such file"):
        read_profile(server="https://a.example")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stagin", "There is no profile 'stagin' in .*; did you mean 'staging'"),
        ("x", "choose one of staging, production"),
        ("broken", "unknown key 'sever'; choose one of server, token"),
    ],
)
def test_wrong_profiles_are_explained(name: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_profile(name)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_token_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(SettingsError, match=r"has a token, and other users may read it; .*chmod 600"):
        read_profile("production")
    text = file.read_text().replace('token = "tc_production"', "")
    file.write_text(text)
    assert read_profile("production").token == ""


def test_unreadable_files_are_explained_and_missing_ones_are_not_an_error(file: Path) -> None:
    file.write_text("[a\n")
    with pytest.raises(SettingsError, match="is not valid TOML: "):
        read_profiles()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="is not valid TOML: "):
        read_profiles()
    file.unlink()
    file.mkdir()
    with pytest.raises(SettingsError, match=r"Cannot read .*: Is a directory"):
        read_profiles()
    file.rmdir()
    assert read_profiles() == {}
    with pytest.raises(SettingsError, match="No coordinator is named; set TEST_COORDINATOR_SERVER, store a"):
        read_profile()


def test_without_a_home_folder_there_are_no_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")  # the specification says to ignore it
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert find_profile_file() is None
    assert read_profiles() == {}
    assert read_profile(server="http://127.0.0.1:1").server == "http://127.0.0.1:1"


def test_private_authority_is_trusted_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=own -keyout key.pem -out own.pem"
    subprocess.run(["openssl", *words.split()], cwd=tmp_path, check=True, capture_output=True)
    (trusted,) = build_tls_context(str(tmp_path / "own.pem")).get_ca_certs()
    assert trusted["subject"] == ((("commonName", "own"),),)
    assert build_tls_context(str(tmp_path / "own.pem")).verify_mode == ssl.CERT_REQUIRED
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    assert any(found["subject"] == trusted["subject"] for found in build_tls_context().get_ca_certs())
    with pytest.raises(SettingsError, match=r"missing\.pem': No such file"):
        build_tls_context(str(tmp_path / "missing.pem"))
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(SettingsError, match="it has no certificate in PEM"):
        Client("https://a.example", authority=str(tmp_path / "empty.pem"))


def test_proxies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    assert find_proxy("https://a.example") == ""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "b.example")
    assert find_proxy("https://a.example") == "http://proxy.example:3128"
    assert find_proxy("https://b.example") == ""
    assert find_proxy("http://a.example") == ""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example")
    with pytest.raises(SettingsError, match="Only proxies of HTTP"):
        find_proxy("https://a.example")
