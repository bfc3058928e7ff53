"""How long the parts of a call may take, in seconds."""

from __future__ import annotations

START_SECONDS = 20.0
END_SECONDS = 5.0
TICK_SECONDS = 0.2
