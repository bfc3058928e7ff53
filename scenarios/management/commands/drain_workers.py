"""`manage.py drain_workers`: lets the workers of this machine finish their runs and end."""

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

from scenarios.checks import BEFORE_COMMANDS
from scenarios.domain.counts import format_count
from scenarios.domain.worker_commands import WORKER_COMMANDS

POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = "Let the workers of this machine and DATA_DIR finish their runs and end, by sending them SIGUSR1."
    requires_system_checks = BEFORE_COMMANDS

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--wait",
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="Wait for the workers to end, at most for this long (default: do not wait).",
        )

    def handle(self, *_arguments: Any, wait: float, **_options: Any) -> None:
        workers = list(find_workers(Path("/proc")))
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
        self.stdout.write(f"Draining {format_count(len(workers), 'worker')}.")
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline and any(is_worker(Path(f"/proc/{pid}")) for pid in workers):
            time.sleep(POLL_SECONDS)


def find_workers(proc: Path) -> Iterator[int]:
    """The process ids of workers with this process's user and DATA_DIR."""
    for folder in proc.glob("[0-9]*"):
        if int(folder.name) != os.getpid() and is_worker(folder):
            yield int(folder.name)


def is_worker(folder: Path) -> bool:
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        environment = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
        is_mine = folder.stat().st_uid == os.geteuid()
    except OSError:  # the process has ended, or belongs to another user
        return False
    command = next((after for before, after in itertools.pairwise(words) if is_manage_script(before)), "")
    return is_mine and command in WORKER_COMMANDS.values() and shares_data(environment)


def is_manage_script(word: str) -> bool:
    return Path(word).name == "manage.py"


def shares_data(environment: list[str]) -> bool:
    named = next((line.partition("=")[2] for line in environment if line.startswith("DATA_DIR=")), "")
    return Path(named or settings.DEFAULT_DATA_DIR).resolve() == settings.DATA_DIR
