#!/usr/bin/env python3
"""Django's command line, which sets up its own environment on a fresh machine."""

import gc
import importlib.util
import os
import sys
from pathlib import Path

from coordinator_site import __version__
from coordinator_site.fresh_machine import ensure_environment

# Loading the modules makes 300,000 objects and hardly any garbage. After every 700, as by default, the
# collector would look for it 400 times, which is a tenth of the time that a command takes to start.
OBJECTS_BEFORE_COLLECTION = 500_000


def main() -> None:
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
    if "_ARGCOMPLETE" in os.environ:
        complete()
        return
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
    finally:
        gc.freeze()  # Python would look through every object again as it ends


def complete() -> None:
    """Answer a shell that completes a command: at once, and never by installing something."""
    project = Path(__file__).resolve().parent
    python = project / ".venv" / "bin" / "python"
    if importlib.util.find_spec("argcomplete") is not None:
        from scenarios.command_line.local_completion import answer_shell  # noqa: PLC0415 - as above

        answer_shell()
    elif python.exists() and Path(sys.prefix).resolve() != (project / ".venv").resolve():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 - the same command, in its environment


if __name__ == "__main__":
    main()
