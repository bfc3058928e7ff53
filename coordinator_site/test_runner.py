"""Lets `manage.py test` run pytest.

Source: https://pytest-django.readthedocs.io/en/latest/faq.html#how-can-i-use-manage-py-test-with-pytest-django
"""

import subprocess
import sys
from argparse import ArgumentParser
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
    # Images, wheels and containers, one after the other, because each takes all cores.
    "deployment": ("tests/deployment",),
    "style and types": ("tests/style",),
}


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
        codes = {part: self._pytest(*arguments) for part, arguments in PARTS.items()}
        for part, code in codes.items():
            sys.stdout.write(f"{'passed' if code == 0 else f'FAILED ({code})'}: {part}\n")
        return max(codes.values())

    def _pytest(self, *arguments: str) -> int:
        command = [sys.executable, "-m", "pytest"]
        if self.verbosity > 1:
            command.append("-" + "v" * (self.verbosity - 1))
        if self.failfast:
            command.append("--exitfirst")
        return subprocess.run([*command, *arguments], check=False).returncode
