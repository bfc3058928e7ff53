"""Builds the project's own environment on a machine that has Python and nothing else.

Imported before anything is installed: the standard library alone.
"""

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

OLDEST_PYTHON = (3, 11)


def ensure_environment(project: Path, arguments: list[str]) -> None:
    """Return where Django can be imported; else build `.venv` and start again inside it.

    Raises:
        SystemExit: this Python is too old, venv is missing, or the installation failed.
    """
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"Python {sys.version.split()[0]} is too old: Test Coordinator needs 3.11 or newer.")
    environment = project / ".venv"
    inside = Path(sys.prefix).resolve() == environment.resolve()
    if not inside and importlib.util.find_spec("django") is not None:
        return
    wanted = requirement_files(project, arguments)
    if not is_installed(environment, wanted):
        install(environment, wanted, build=not inside)
    if not inside:
        python = environment / "bin" / "python"
        os.execv(python, [str(python), *arguments])  # noqa: S606 - the same command, in its environment


def requirement_files(project: Path, arguments: list[str]) -> list[Path]:
    files = [project / "requirements.txt"]
    if arguments[1:2] == ["test"]:
        files.append(project / "tests" / "requirements.txt")
    return files


def stamp_of(environment: Path, requirements: Path) -> Path:
    """The file that says: what this requirements file asks for, with this Python, is installed whole."""
    content = requirements.read_bytes() + sys.version.encode()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return environment / f"installed-{digest}"


def is_installed(environment: Path, wanted: list[Path]) -> bool:
    return all(stamp_of(environment, file).exists() for file in wanted)


def install(environment: Path, wanted: list[Path], *, build: bool) -> None:
    """Install what is missing, one process at a time: two commands may be started at once."""
    environment.mkdir(exist_ok=True)
    with (environment / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_installed(environment, wanted):
            return
        if build:
            build_environment(environment)
        for file in wanted:
            sys.stderr.write(f"Installing {file.relative_to(environment.parent)} …\n")
        files = [part for file in wanted for part in ("--requirement", str(file))]
        python = str(environment / "bin" / "python")
        options = ["--quiet", "--require-hashes", "--disable-pip-version-check", "--no-input"]
        run_or_exit(
            [python, "-m", "pip", "install", *options, *files],
            hint="Is the package index reachable? The command can be repeated: nothing is lost.",
        )
        for file in wanted:
            stamp_of(environment, file).touch()


def build_environment(environment: Path) -> None:
    if any(importlib.util.find_spec(module) is None for module in ("venv", "ensurepip")):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            f"This Python ({sys.executable}) comes without venv. Install it, then repeat the command:\n"
            f"  Debian, Ubuntu: apt-get install python{version}-venv"
        )
    run_or_exit(
        [sys.executable, "-m", "venv", str(environment)],
        hint=f"Is there room on the disk, and may this user write to {environment.parent}?",
    )


def run_or_exit(command: list[str], *, hint: str) -> None:
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        sys.exit(f"{' '.join(command[:4])} … ended with exit code {code}. {hint}")
