"""docs/api-clients.md is correct: its programs, with clients that were generated, do what it says."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import pytest

from tests.servers.api_clients import PAGE, prepared_coordinator, save_page
from tests.servers.api_linters import DESCRIPTION as DESCRIPTION_FILE
from tests.servers.api_linters import find_complaints
from tests.servers.node import Node
from tests.servers.openapi_generator import PROGRAMS, build_go_program, generate_clients

DESCRIPTION = str(DESCRIPTION_FILE)
SECONDS = 300


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with prepared_coordinator(tmp_path_factory.mktemp("coordinator")) as prepared:
        yield prepared


class Tools:
    """What several programs need: made by the first of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def packages(self) -> Node:
        node = Node(self._folder)
        node.install()
        return node

    @cached_property
    def clients(self) -> Path:
        """Those of OpenAPI Generator, in a folder for each language."""
        folder = self._folder / "clients"
        folder.mkdir()
        generate_clients(folder)
        return folder


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    return Tools(tmp_path_factory.mktemp("tools"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_page(tmp_path)
    return tmp_path


def prepare_shell(_folder: Path, _tools: Tools) -> list[str]:
    return ["bash", "follow.sh"]


def prepare_python(folder: Path, _tools: Tools) -> list[str]:
    *_, line = PAGE.commands()
    program, *words = line.split()
    words[words.index("--url")] = "--path"
    words = [DESCRIPTION if word.startswith("http") else word for word in words]
    done = run([sys.executable, "-m", program.replace("-", "_"), *words], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "will not be generated" not in done.stdout + done.stderr
    return [sys.executable, "follow.py"]


def prepare_typescript(folder: Path, tools: Tools) -> list[str]:
    node = Node(folder)
    node.link(tools.packages)
    for line in "".join(PAGE.blocks("console")).splitlines():
        if line.startswith("npx "):
            _, tool, *words = line.split()
            node.run_tool(tool, *(DESCRIPTION if word.startswith("http") else word for word in words))
    return [str(node.program), "follow.ts"]


def prepare_generated_python(folder: Path, tools: Tools) -> list[str]:
    shutil.copytree(tools.clients / "python", folder / "client")
    shutil.copy(PROGRAMS / "follow.py", folder)
    return [sys.executable, "follow.py"]


def prepare_generated_typescript(folder: Path, tools: Tools) -> list[str]:
    shutil.copytree(tools.clients / "typescript", folder / "client")
    shutil.copy(PROGRAMS / "follow.ts", folder)
    node = Node(folder)
    node.link(tools.packages)
    # OpenAPI Generator writes imports without endings, which Node takes in CommonJS alone.
    (folder / "package.json").write_text('{"type": "commonjs"}')
    strictly = ("--strict", "--skipLibCheck", "--types", "node")
    written = ("--target", "es2022", "--module", "commonjs", "--outDir", ".")
    node.run_tool("tsc", *strictly, *written, "follow.ts")
    return [str(node.program), "follow.js"]


def prepare_generated_go(folder: Path, tools: Tools) -> list[str]:
    shutil.copytree(tools.clients / "go", folder / "client")
    return [str(build_go_program(folder))]


def run(
    command: list[str], folder: Path, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


@pytest.mark.parametrize(
    "prepare",
    [
        prepare_shell,
        prepare_python,
        prepare_typescript,
        pytest.param(prepare_generated_python, marks=pytest.mark.openapi_generator),
        pytest.param(prepare_generated_typescript, marks=pytest.mark.openapi_generator),
        pytest.param(prepare_generated_go, marks=[pytest.mark.openapi_generator, pytest.mark.go]),
    ],
)
def test_each_program_runs_a_scenario_and_follows_it_to_its_end(
    environment: dict[str, str], tools: Tools, folder: Path, prepare: Callable[[Path, Tools], list[str]]
) -> None:
    done = run(prepare(folder, tools), folder, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("run_started", "fault_injected", "validation_passed", "fault_undone", "run_finished"):
        assert word in done.stdout
    assert "passed" in done.stdout
    assert (folder / "report.xml").read_text().startswith("<?xml")
    assert "risk-monitor" in done.stdout, "the outstanding fault is not listed"


def test_a_program_whose_token_is_wrong_ends_with_the_code_of_the_problem(
    environment: dict[str, str], tools: Tools, folder: Path
) -> None:
    done = run(prepare_shell(folder, tools), folder, {**environment, "TEST_COORDINATOR_TOKEN": "tc_wrong"})
    assert done.returncode != 0
    assert "401" in done.stderr


def test_linters_find_neither_errors_nor_warnings_in_the_description(tmp_path: Path) -> None:
    assert find_complaints(tmp_path) == ""
