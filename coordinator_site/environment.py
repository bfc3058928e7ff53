"""Reads settings from the environment; an invalid value is refused with the rule and a hint."""

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
MAX_PORT = 65535
T = TypeVar("T")


class Environment(environ.Env):  # type: ignore[misc]
    """django-environ's `Env`, for values that are checked by one of the functions below."""

    def read(self, check: Callable[..., T], name: str, default: object, **rule: Any) -> T:
        """The variable, or the default, as the function returns it.

        Raises:
            ImproperlyConfigured: with the variable's name, its value, the rule and a hint.
        """
        return check(name, self.str(name, str(default)), **rule)

    def read_list(self, check: Callable[[str, list[str]], T], name: str, default: list[str]) -> T:
        """As `read`, for values separated by commas."""
        return check(name, self.list(name, default=default))


def boolean(name: str, value: str) -> bool:
    """A misspelled word is refused, because taking it for False without a word would be worse."""
    word = value.strip().lower()
    if word in TRUE_WORDS | FALSE_WORDS:
        return word in TRUE_WORDS
    raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false; use 'true' or 'false'.")


def whole_number(name: str, value: str, *, lowest: int, highest: int) -> int:
    if not re.fullmatch(r"[0-9]+", value.strip()) or not lowest <= int(value) <= highest:
        raise ImproperlyConfigured(f"{name}={value!r} is not a whole number from {lowest} to {highest}.")
    return int(value)


def one_of(name: str, value: str, choices: Iterable[str]) -> str:
    if value in choices:
        return value
    raise ImproperlyConfigured(f"{name}={value!r} is unknown; choose one of {', '.join(sorted(choices))}.")


def dns_label(name: str, value: str) -> str:
    if DNS_LABEL.fullmatch(value):
        return value
    raise ImproperlyConfigured(
        f"{name}={value!r} is not a DNS label: use a-z, 0-9 and inner '-', at most 63 characters, "
        f"as in 'test-coordinator'."
    )


def dns_labels(name: str, values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dns_label(name, value) for value in values)


def pairs(name: str, values: Iterable[str]) -> dict[str, str]:
    """Names of the provider's groups and of groups here, each as 'theirs=ours'."""
    found: dict[str, str] = {}
    for value in values:
        theirs, _, ours = (part.strip() for part in value.rpartition("="))
        if not theirs or not ours or theirs in found:
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: map each of the provider's groups once to a group here, "
                f"as in 'sre=Editor'."
            )
        found[theirs] = ours
    return found
