"""Queries of services: PromQL in which `$service` and `$window` are replaced when the query is sent."""

import re

PLACEHOLDERS = ("service", "window")
MAX_QUERY_LENGTH = 2000
# A dollar sign at the end of a regular expression, as in `code=~"5..$"`, is not a placeholder.
_PLACEHOLDER = re.compile(r"\$(\w+|\{[^}]*\}?)")


def check_placeholders(query: str) -> None:
    """Raise ValueError if the query has an unknown placeholder."""
    for found in _PLACEHOLDER.finditer(query):
        if found[1] not in PLACEHOLDERS:
            known = " or ".join(f"'${name}'" for name in PLACEHOLDERS)
            raise ValueError(f"unknown placeholder {found[0][:40]!r} in the query of a service; use {known}")


def fill_in(query: str, *, service: str, window: int) -> str:
    """`window` is in seconds."""
    values = {"service": service, "window": f"{window}s"}
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), query)
