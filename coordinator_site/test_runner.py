"""Lets `manage.py test` run pytest.

Source: https://pytest-django.readthedocs.io/en/latest/faq.html#how-can-i-use-manage-py-test-with-pytest-django
"""

import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError

# More processes than a small machine has cores, because half of the time passes in waiting: for servers,
# leases and time limits. A process takes a whole file, whose tests share servers. Files that take long come
# first: the last one to begin would keep the other processes waiting.
BY_FILE = ("--dist", "loadfile", "--no-loadscope-reorder")
# Each part is a pytest run with its own verdict, so that a style error does not look like a broken product.
PARTS = {
    "unit and integration tests": ("tests/unit", "tests/integration", "-n", "4", *BY_FILE),
    "acceptance tests": ("tests/acceptance", "-n", "3", *BY_FILE),  # each starts several servers
    # Images, wheels and containers: they wait for package indexes, leases and alerts.
    "deployment": ("tests/deployment", "-n", "2", *BY_FILE),
    "style and types": ("tests/style",),
}
# From the second part on beside the others, at a low priority, with its report at the end: it uses one core,
# and the others often wait for their servers.
BESIDE = "style and types"


class PytestRunner:
    """Runs pytest in a new process, where Django is not set up and no module is loaded."""

    def __init__(self, verbosity: int = 1, *, failfast: bool = False, **_options: Any) -> None:
        self.verbosity = verbosity
        self.failfast = failfast

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        """Keep Django's own arguments; paths and node ids go to pytest as they are."""

    def run_tests(self, test_labels: list[str], **_options: Any) -> int:
        """Returns 0 if every test passed, else pytest's exit code. Without labels, runs all parts.

        A label is a path, a node id, or the name of a part, such as 'deployment'.
        """
        try:
            import pytest  # noqa: F401, PLC0415 - asks whether it is there
        except ImportError as error:
            raise CommandError(
                f"{error.name!r} is missing; install the test dependencies with "
                f"'{sys.executable} -m pip install -r tests/requirements.txt'."
            ) from error
        if test_labels:
            return self._pytest(*(word for label in test_labels for word in PARTS.get(label, (label,))))
        first, *others = (part for part in PARTS if part != BESIDE)
        codes = {first: self._pytest(*PARTS[first])}
        with self._beside(*PARTS[BESIDE]) as last:
            codes |= {part: self._pytest(*PARTS[part]) for part in others}
            codes[BESIDE] = last.wait()
        for part, code in codes.items():
            sys.stdout.write(f"{'passed' if code == 0 else f'FAILED ({code})'}: {part}\n")
        return max(codes.values())

    @contextmanager
    def _beside(self, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run them in the background; what they printed is shown after the block."""
        with tempfile.TemporaryFile() as output:
            command = ["nice", "-n", "5", *self._command(*arguments)]
            with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
                yield process
            output.seek(0)
            sys.stdout.write(output.read().decode(errors="replace"))

    def _pytest(self, *arguments: str) -> int:
        return subprocess.run(self._command(*arguments), check=False).returncode

    def _command(self, *arguments: str) -> list[str]:
        command = [sys.executable, "-m", "pytest"]
        if self.verbosity > 1:
            command.append("-" + "v" * (self.verbosity - 1))
        if self.failfast:
            command.append("--exitfirst")
        return [*command, *arguments]
