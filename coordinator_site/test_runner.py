"""`manage.py test` runs pytest: Django's hook for another runner.

Source: https://pytest-django.readthedocs.io/en/latest/faq.html#how-can-i-use-manage-py-test-with-pytest-django
"""

import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

# One at a time: some of them hold how long something may take.
INSIDE = ("tests/unit", "tests/integration")
# Two files at a time: these wait for servers and for time to pass more than they compute.
WITH_SERVERS = ("tests/acceptance", "-n", "2", "--dist", "loadfile")


class PytestRunner:
    """Runs pytest in a process of its own, so that it starts with no Django set up and no module loaded."""

    def __init__(self, verbosity: int = 1, *, failfast: bool = False, **_options: Any) -> None:
        self.verbosity = verbosity
        self.failfast = failfast

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        """Keep Django's own arguments; paths and node ids go to pytest as they are."""

    def run_tests(self, test_labels: list[str], **_options: Any) -> int:
        """0 when every test passed, else pytest's exit code. Without labels all are run, in two parts."""
        try:
            import pytest  # noqa: F401, PLC0415 - asks whether it is there
        except ImportError as error:
            raise CommandError(
                f"{error.name!r} is missing: install the tools of the tests with "
                f"'{sys.executable} -m pip install -r tests/requirements.txt'."
            ) from error
        if test_labels:
            return self._pytest(*test_labels)
        return max(self._pytest(*INSIDE), self._pytest(*WITH_SERVERS))

    def _pytest(self, *arguments: str) -> int:
        command = [sys.executable, "-m", "pytest"]
        if self.verbosity > 1:
            command.append("-" + "v" * (self.verbosity - 1))
        if self.failfast:
            command.append("--exitfirst")
        return subprocess.run([*command, *arguments], check=False).returncode
