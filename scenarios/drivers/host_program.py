"""The host program as the coordinator has it: its file, and the limits of a call."""

from pathlib import Path

from django.conf import settings

# The program waits up to 20 s for another call, and up to 20 s until a fault is there.
CALL_SECONDS = 45.0
MAX_ANSWER = 256 * 1024


def find_program() -> Path:
    return Path(settings.BASE_DIR) / "injector" / "host_program.py"
