#!/usr/bin/env python3
"""Django's command line, which sets up its own environment on a fresh machine."""

import os
import sys
from pathlib import Path

from coordinator_site.fresh_machine import ensure_environment


def main() -> None:
    ensure_environment(Path(__file__).resolve().parent, sys.argv)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coordinator_site.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - Django may have just been installed

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
