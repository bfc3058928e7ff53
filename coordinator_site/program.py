"""The commands of the server under the name of the client's program, such as `test-coordinator up`."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from coordinator_site import places


def run(words: Sequence[str]) -> NoReturn:
    """Become `manage.py` with these words, so that the process is found by that name."""
    command = [sys.executable, str(places.FILES / "manage.py"), *words]
    os.execv(sys.executable, command)  # noqa: S606 - the same person's own command
