"""`manage.py test` runs pytest: Django's hook for another runner.

Source: https://pytest-django.readthedocs.io/en/latest/faq.html#how-can-i-use-manage-py-test-with-pytest-django
"""

import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

# Each part is one run of pytest with a verdict of its own: a style error does not look like a broken product.
PARTS = {
    "unit and integration tests": ("tests/unit", "tests/integration", "-n", "2", "--dist", "loadfile"),
    # One file more than most machines have cores, because these wait for servers and for time to pass. The
    # slow files come first: the last one to begin keeps the other processes waiting.
    "acceptance tests": ("tests/acceptance", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"),
    "style and types": ("tests/style",),
}


class PytestRunner:
    """Runs pytest in a process of its own, so that it starts with no Django set up and no module loaded."""

    def __init__(self, verbosity: int = 1, *, failfast: bool = False, **_options: Any) -> None:
        self.verbosity = verbosity
        self.failfast = failfast

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        """Keep Django's own arguments; paths and node ids go to pytest as they are."""

    def run_tests(self, test_labels: list[str], **_options: Any) -> int:
        """0 when every test passed, else pytest's exit code. Without labels all parts are run."""
        try:
            import pytest  # noqa: F401, PLC0415 - asks whether it is there
        except ImportError as error:
            raise CommandError(
                f"{error.name!r} is missing: install the tools of the tests with "
                f"'{sys.executable} -m pip install -r tests/requirements.txt'."
            ) from error
        if test_labels:
            return self._pytest(*test_labels)
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
