"""Builds the project's virtual environment on a machine that has only Python.

Imported before anything is installed, so it uses only the standard library.
"""

import errno
import fcntl
import hashlib
import importlib.util
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

MIN_PYTHON = (3, 11)
DEFAULT_PORT = "8080"
MAX_PORT = 65535


def ensure_environment(project: Path, arguments: list[str]) -> None:
    """Return if Django can be imported; else build `.venv` and restart in it.

    Raises:
        SystemExit: this Python is too old, venv is missing, or the installation failed.
    """
    if sys.version_info < MIN_PYTHON:
        sys.exit(f"Python {sys.version.split()[0]} is too old: Test Coordinator needs 3.11 or newer.")
    environment = project / ".venv"
    inside = Path(sys.prefix).resolve() == environment.resolve()
    if not inside and importlib.util.find_spec("django") is not None:
        return
    wanted = requirement_files(project, arguments)
    if not is_installed(environment, wanted):
        if not inside:
            refuse_without_venv()
        refuse_taken_port(project, arguments)
        install(environment, wanted, build=not inside)
    if not inside:
        python = environment / "bin" / "python"
        os.execv(python, [str(python), *arguments])  # noqa: S606 - the same command, in its environment


def requirement_files(project: Path, arguments: list[str]) -> list[Path]:
    files = [project / "requirements.txt"]
    if arguments[1:2] == ["test"]:
        files.append(project / "tests" / "requirements.txt")
    return files


def get_stamp(environment: Path, requirements: Path) -> Path:
    """The file that marks this requirements file as completely installed with this Python."""
    content = requirements.read_bytes() + sys.version.encode()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return environment / f"installed-{digest}"


def is_installed(environment: Path, wanted: list[Path]) -> bool:
    return all(get_stamp(environment, file).exists() for file in wanted)


def install(environment: Path, wanted: list[Path], *, build: bool) -> None:
    """Install what is missing. A lock keeps two commands that start at once apart."""
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
            hint="Is the package index reachable? You can repeat the command.",
        )
        for file in wanted:
            get_stamp(environment, file).touch()


def refuse_taken_port(project: Path, arguments: list[str]) -> None:
    """Exit before an installation that takes minutes if the port of `up` is in use.

    An invalid port is left to `up` itself.
    """
    if arguments[1:2] != ["up"]:
        return
    port = find_port(project, arguments)
    if port.isascii() and port.isdecimal() and 0 < int(port) <= MAX_PORT and is_taken(int(port)):
        sys.exit(
            f"Port {port} is in use; choose another with 'manage.py up --port N' or PORT. "
            "Nothing was installed."
        )


def find_port(project: Path, arguments: list[str]) -> str:
    """The port from --port, from PORT in the environment or .env, or the default."""
    words = " ".join(arguments[2:])
    if option := re.search(r"--port[= ](\S+)", words):
        return option[1]
    if "PORT" in os.environ:
        return os.environ["PORT"]
    try:
        lines = (project / ".env").read_text(errors="replace")
    except OSError:
        return DEFAULT_PORT
    found = re.findall(r"^(?:export )?PORT=[\"']?(\d+)", lines, re.MULTILINE)
    return found[-1] if found else DEFAULT_PORT


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do, so that a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def refuse_without_venv() -> None:
    if any(importlib.util.find_spec(module) is None for module in ("venv", "ensurepip")):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            f"This Python ({sys.executable}) has no venv module. Install it, then repeat the command:\n"
            f"  Debian, Ubuntu: apt-get install python{version}-venv"
        )


def build_environment(environment: Path) -> None:
    run_or_exit(
        [sys.executable, "-m", "venv", str(environment)],
        hint=f"Is the disk full, or may this user not write to {environment.parent}?",
    )


def run_or_exit(command: list[str], *, hint: str) -> None:
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        sys.exit(f"{' '.join(command[:4])} … ended with exit code {code}. {hint}")
