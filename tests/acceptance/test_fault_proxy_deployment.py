"""The files in deploy/fault-proxy: what they name exists, and what they start takes its arguments."""

import argparse
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from injector.configuration import add_arguments, read_settings
from tests.servers.coordinator import PROJECT
from tests.servers.manifests import DEPLOY

FOLDER = DEPLOY / "fault-proxy"
UNIT = FOLDER / "fault-proxy.service"
# Of 10; a service that says nothing has 9.6.
MAX_EXPOSURE = 2.0


def read_commands() -> dict[str, list[str]]:
    unit = re.findall(r"^ExecStart=(.+)$", UNIT.read_text(), re.MULTILINE)
    image = re.findall(r"^CMD (.+)$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    return {"unit": shlex.split(unit[0]), "image": json.loads(image[0])}


@pytest.mark.parametrize("kind", ["unit", "image"])
def test_command_of_the_proxy_takes_its_arguments_and_the_example(kind: str) -> None:
    _, module, name, *arguments = read_commands()[kind]
    assert (module, name) == ("-m", "injector")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = parser.parse_args(arguments)
    assert options.token_file
    options.config = FOLDER / "proxy.example.json"
    assert read_settings(options).listeners


def test_image_of_the_proxy_runs_as_a_numbered_user_and_copies_what_is_there() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    assert re.findall(r"^USER (\d+)$", text, re.MULTILINE) == ["10002"]
    kept = re.findall(r"^!(.+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE)
    assert copied
    assert all(name in kept and (PROJECT / name).exists() for name in copied)


def test_lock_of_the_proxy_has_what_the_coordinator_has() -> None:
    def find_h11(path: Path) -> list[str]:
        return re.findall(r"^h11==.+$", path.read_text(), re.MULTILINE)

    assert find_h11(FOLDER / "requirements.txt") == find_h11(PROJECT / "requirements.txt") != []


@pytest.mark.systemd
def test_systemd_finds_nothing_wrong_with_the_unit_of_the_proxy(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/fault-proxy/venv/bin/python", "/usr/bin/env"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    exposure = re.findall(r"Overall exposure level for \S+: ([\d.]+)", rated.stdout)
    assert exposure, rated.stdout + rated.stderr
    assert float(exposure[0]) <= MAX_EXPOSURE
