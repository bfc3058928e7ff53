"""Reads the settings of container engines; see environment.py."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

ENGINE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?")
CONTAINER_PATTERN = re.compile(r"[A-Za-z0-9_.*?\[\]!-]+")


def container_engines(name: str, values: Iterable[str]) -> dict[str, str]:
    """Engines by name, each as 'name=unix:///path' or 'name=tcp://host:port'."""
    found: dict[str, str] = {}
    for value in filter(None, map(str.strip, values)):
        engine, _, url = value.partition("=")
        try:
            parts = urlsplit(url)
            is_socket = parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/")
            is_server = parts.scheme == "tcp" and bool(parts.hostname and parts.port) and not parts.path
        except ValueError:  # an unclosed bracket, an invalid port
            is_socket = is_server = False
        if not ENGINE_NAME.fullmatch(engine) or engine in found or not (is_socket or is_server):
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: give each engine once, with a name of a-z, 0-9 and '-' and at "
                f"most 20 characters, as 'local=unix:///var/run/docker.sock' or 'shop=tcp://10.0.0.5:2376'."
            )
        found[engine] = url
    return found


def container_name_patterns(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Patterns of names of containers, as 'shop-*'."""
    for value in values:
        if not CONTAINER_PATTERN.fullmatch(value):
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: use names of containers, or patterns of them, as 'shop-*'."
            )
    return tuple(values)


def container_patterns(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Patterns of names, or of labels as 'label=value'."""
    for value in values:
        label, equals, _ = value.partition("=")
        if not equals:
            container_name_patterns(name, [value])
        elif not label.strip() or not value.isprintable():
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: write a label as 'com.docker.compose.project=shop'."
            )
    return tuple(values)
