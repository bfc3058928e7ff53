"""Mappings that a command is given as one argument in YAML, as `{bearer: "${secret:SERVICE_SHOP}"}`."""

import json
from typing import Any

from coordinator_client.command_line.coordinator import CommandRefused


def read_mapping(option: str, text: str | None) -> dict[str, Any] | None:
    """The mapping; None without a text. The error does not contain the text, which may be a password.

    Raises:
        CommandRefused: the text is not a mapping in YAML.
    """
    import yaml  # noqa: PLC0415 - only where it is needed

    if text is None:
        return None
    try:
        # YAML also has dates, infinities and loops, which no API takes.
        found = json.loads(json.dumps(yaml.safe_load(text), default=str, allow_nan=False))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CommandRefused(f"'{option}' is not a mapping in YAML or JSON, such as {{name: value}}.")
    return found
