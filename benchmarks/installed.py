"""An installation for benchmarks of runs, and a process that starts and stops the runs.

That process does what an entrance does, without the half second that a new command takes.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers.coordinator import PROJECT, Coordinator
from tests.servers.postgresql import postgresql, programs


@contextmanager
def installation(*, on_postgresql: bool, **settings: str) -> Iterator[Coordinator]:
    """The embedded default, or one on a PostgreSQL server of its own; not set up yet."""
    with ExitStack() as stack:
        if on_postgresql:
            found = programs()
            assert found is not None, "PostgreSQL is not installed"
            settings["DATABASE_URL"] = stack.enter_context(postgresql(found)).url
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        system = Coordinator(data, **settings)
        stack.callback(system.stop)
        yield system


class Entrance:
    """Answers each line that it is asked with one line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._asked: IO[str] = process.stdin
        self._answers: IO[str] = process.stdout

    def ask(self, words: str) -> list[str]:
        self._asked.write(words + "\n")
        self._asked.flush()
        return self.read()

    def read(self) -> list[str]:
        return self._answers.readline().split()


@contextmanager
def entrance(system: Coordinator, program: str) -> Iterator[Entrance]:
    """The program prints `ready` once it reads; it ends where its standard input does."""
    with subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", program],
        cwd=PROJECT,
        env=system.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked = Entrance(process)
        assert asked.read() == ["ready"], system.data
        yield asked
