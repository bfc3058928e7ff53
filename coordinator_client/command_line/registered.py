"""What is registered of services and hosts, as text, and what a command has changed of it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from coordinator_client.command_line.coordinator import NotFound
from coordinator_client.command_line.terminal import escape_text
from coordinator_client.errors import NotFoundError
from coordinator_client.records import Environment, Host, Service

# Fields that the verbs change, as the API names them.
CHANGEABLE = (
    *("base_url", "description", "health_path", "health_status", "protected", "proxy", "proxy_listener"),
    *("proxy_secret", "tls", "auth", "address", "labels"),
)
Kept = TypeVar("Kept", Service, Host, Environment)


def find_earlier(find: Callable[[str], Kept], name: str, *, is_needed: bool) -> Kept | None:
    """What is registered under the name; None if nothing is, unless it is needed."""
    try:
        return find(name)
    except (NotFound, NotFoundError):
        if is_needed:
            raise
        return None


def describe_changes(earlier: Service | Host | None, saved: Service | Host) -> str:
    """Each changed field with both values; "" of one that was not registered before."""
    if earlier is None:
        return ""
    before, after = earlier.raw, saved.raw
    changed = [
        f"{name} from {format_value(before.get(name)) or '-'} to {format_value(after.get(name)) or '-'}"
        for name in CHANGEABLE
        if name in after and before.get(name) != after.get(name)
    ]
    words = f"changed: {', '.join(changed)}" if changed else "as it was; nothing has changed"
    return escape_text(f"{type(saved).__name__} {saved.name} is {words}.")


def format_labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels.items()) or "-"


def format_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return format_labels(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
