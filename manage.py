#!/usr/bin/env python3
"""Django's command line, which sets up its own environment on a fresh machine."""

import gc
import os
import sys
from pathlib import Path

from coordinator_site import __version__
from coordinator_site.fresh_machine import ensure_environment

# Loading the modules makes 300,000 objects and hardly any garbage. After every 700, as by default, the
# collector would look for it 400 times, which is a tenth of the time that a command takes to start.
OBJECTS_BETWEEN_COLLECTIONS = 50_000


def main() -> None:
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    ensure_environment(Path(__file__).resolve().parent, sys.argv)
    if sys.argv[1:2] == ["version"] or sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"{__version__}\n")  # Django's own command would tell Django's
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coordinator_site.settings")
    # Imported late: Django may have just been installed.
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.core.management import execute_from_command_line  # noqa: PLC0415

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"Test Coordinator is misconfigured: {error}")


if __name__ == "__main__":
    main()
