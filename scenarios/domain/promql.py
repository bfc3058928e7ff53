"""Queries of services: PromQL in which `$service` and `$window` are filled in when it is asked."""

import re

PLACEHOLDERS = ("service", "window")
MAX_QUERY_LENGTH = 2000
# A dollar sign at the end of a regular expression, as in `code=~"5..$"`, is none of ours.
_PLACEHOLDER = re.compile(r"\$(\w+|\{[^}]*\}?)")


def check_placeholders(query: str) -> None:
    """Raises ValueError where the query has a placeholder that there is not."""
    for found in _PLACEHOLDER.finditer(query):
        if found[1] not in PLACEHOLDERS:
            known = " and ".join(f"'${name}'" for name in PLACEHOLDERS)
            raise ValueError(f"{found[0][:40]!r} is no placeholder of a service's query: there are {known}")


def fill_in(query: str, *, service: str, window: int) -> str:
    """`window` is in seconds."""
    values = {"service": service, "window": f"{window}s"}
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), query)
