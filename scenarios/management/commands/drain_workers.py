"""`manage.py drain_workers`: the workers of this machine finish their runs, take no other, and end."""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from scenarios.domain.worker_commands import WORKER_COMMANDS

POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = "Lets each worker of this machine and DATA_DIR finish its run and end, as SIGUSR1 does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--wait",
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="Return when they have ended, at the latest after so many seconds (default: at once).",
        )

    def handle(self, *_arguments: Any, wait: float, **_options: Any) -> None:
        workers = list(find_workers(Path("/proc")))
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
        self.stdout.write(f"Draining {len(workers)} workers.")
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline and any(is_worker(Path(f"/proc/{pid}")) for pid in workers):
            time.sleep(POLL_SECONDS)


def find_workers(proc: Path) -> Iterator[int]:
    """The process ids of the workers that share this process's user and DATA_DIR."""
    for folder in proc.glob("[0-9]*"):
        if int(folder.name) != os.getpid() and is_worker(folder):
            yield int(folder.name)


def is_worker(folder: Path) -> bool:
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        environment = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
        is_mine = folder.stat().st_uid == os.geteuid()
    except OSError:  # it has ended, or is somebody else's
        return False
    command = next((after for before, after in itertools.pairwise(words) if is_manage_script(before)), "")
    return is_mine and command in WORKER_COMMANDS.values() and shares_data(environment)


def is_manage_script(word: str) -> bool:
    return Path(word).name == "manage.py"


def shares_data(environment: list[str]) -> bool:
    named = next((line.partition("=")[2] for line in environment if line.startswith("DATA_DIR=")), "")
    return Path(named or settings.BASE_DIR / "var").resolve() == settings.DATA_DIR
