"""What this machine allows."""

from __future__ import annotations

import contextlib
import fnmatch
import ipaddress
import json
import os
from typing import Any, Mapping, Sequence

from injector.host.arguments import Refusal
from injector.host.units import name_unit

ALLOW_LIST = "/etc/test-coordinator/host-faults.json"


class Policy:
    """Which faults this machine allows, and which addresses must stay reachable.

    The file applies to all callers. Without it, only the kinds on the command line are allowed, which the
    coordinator's worker passes for its own host; a request cannot name them.
    """

    def __init__(self, path: str, kinds: Sequence[str] | None) -> None:
        self._path = path
        self._kinds = kinds
        self._rules: Mapping[str, Any] | None = None
        self.injector = ""

    def read(self) -> None:
        """Raises Refusal if others than root may write to the file, or if it makes no sense."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        except OSError as error:
            raise Refusal(f"{self._path!r} cannot be read: {error.strerror}") from error
        with os.fdopen(descriptor, encoding="utf-8") as file:
            found = os.fstat(descriptor)
            if found.st_uid != 0 or found.st_mode & 0o022:
                raise Refusal(f"{self._path!r} must belong to root, and nobody else may write to it")
            try:
                content = json.load(file)
                rules = content["kinds"]
                self.injector = str(content.get("injector", ""))
            except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
                raise Refusal(f"{self._path!r} must hold an object with 'kinds'") from error
        if not isinstance(rules, dict) or not all(isinstance(rule, dict) for rule in rules.values()):
            raise Refusal(f"'kinds' in {self._path!r} must be an object of objects")
        self._rules = rules

    def explain_kind(self, kind: str) -> str:
        """Why the kind is not allowed; '' if it is."""
        if self._kinds is not None and kind not in self._kinds:
            return f"{kind!r} is not allowed: ALLOWED_HOST_FAULTS names {', '.join(self._kinds) or 'none'}"
        if self._rules is not None:
            if kind not in self._rules:
                return f"{kind!r} is not allowed: {self._path!r} names {', '.join(self._rules) or 'none'}"
        elif self._kinds is None:
            return f"{kind!r} is not allowed: this host has no {self._path!r}"
        return ""

    def check(self, kind: str, arguments: Mapping[str, Any]) -> None:
        """Raises Refusal if the kind, or one of its targets, is not allowed."""
        if reason := self.explain_kind(kind):
            raise Refusal(reason)
        for word, allowed in (self._rules or {}).get(kind, {}).items():
            if not isinstance(allowed, list):
                raise Refusal(f"{word!r} of {kind!r} in {self._path!r} must be a list")
            if word == "ways":
                given = [way for way in ("unit", "pidfile", "port", "to", "from") if way in arguments]
                if not set(given) <= set(allowed):
                    raise Refusal(f"{kind!r} by {given} is not allowed: {self._path!r} allows {allowed}")
            elif word not in arguments:
                raise Refusal(f"{kind!r} must name {word!r}: {self._path!r} allows {allowed}")
            elif not any(matches(name_target(word, arguments[word]), pattern) for pattern in allowed):
                raise Refusal(f"{word}={arguments[word]!r} is not allowed: {self._path!r} allows {allowed}")


def name_target(word: str, value: object) -> object:
    return name_unit(value) if word == "unit" and isinstance(value, str) else value


def matches(value: object, pattern: object) -> bool:
    """Whether the rule is the value, a network that contains it, or a pattern like '/run/shop/*.pid'."""
    if value == pattern:
        return True
    if not isinstance(value, str) or not isinstance(pattern, str):
        return False
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(value) in ipaddress.ip_network(pattern, strict=False)
    return ".." not in value.split("/") and fnmatch.fnmatchcase(value, pattern)
