"""Other programs, and files of the kernel."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import Sequence

from injector.host.arguments import Refusal

COMMAND_SECONDS = 10.0
LAST_WORDS = 300
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run_program(command: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command to its end.

    Raises:
        Refusal: it is not installed, or has not ended in time.
    """
    environment = {"PATH": SYSTEM_PATH, "LC_ALL": "C"}
    try:
        return subprocess.run(
            list(command),
            input=text,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        raise Refusal(f"{command[0]!r} is not installed on this host") from None
    except OSError as error:
        raise Refusal(f"{command[0]!r} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise Refusal(f"{command[0]!r} has not ended within {COMMAND_SECONDS:g} s", "failed") from None


def look_for_program(name: str) -> str:
    """The program's path; '' if it is not installed."""
    paths = (os.path.join(directory, name) for directory in SYSTEM_PATH.split(":"))
    return next((path for path in paths if os.access(path, os.X_OK)), "")


def quote_end(text: str) -> str:
    return " ".join(text.split())[-LAST_WORDS:]


def write_text(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def read_text(path: str) -> str:
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return ""
