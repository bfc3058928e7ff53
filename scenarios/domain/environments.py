"""Services of an environment, such as staging: each has a name of its own there."""

from collections.abc import Sequence

from scenarios.domain.spelling import suggest

SEPARATOR = "@"


def name_in(service: str, environment: str) -> str:
    """The name under which a service of an environment is held, approved and looked up."""
    return f"{service}{SEPARATOR}{environment}" if environment else service


def explain_missing_service(service: str, environment: str, known: Sequence[str]) -> str:
    """No other address is used instead: it could be the one of production."""
    hint = suggest(service, known) or "add it to the environment"
    named = ", ".join(known) or "none"
    return f"the environment {environment!r} has no service {service[:80]!r}, only {named}; {hint}"
