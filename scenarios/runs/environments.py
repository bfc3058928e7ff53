"""The environment that a run is started in: which one it is, and its values of variables."""

from collections.abc import Mapping
from typing import Any

from scenarios.domain.environments import explain_missing_service
from scenarios.domain.errors import UnknownEnvironment
from scenarios.domain.outputs import make_storable
from scenarios.domain.plan import Plan, find_services
from scenarios.domain.spelling import suggest
from scenarios.domain.templates import has_late_reference
from scenarios.language.document import Document, build_plan
from scenarios.models import Environment


def read_environment(name: str) -> Environment | None:
    """The environment with the name; None without one.

    Raises:
        UnknownEnvironment: it does not exist; with a hint.
    """
    if not name:
        return None
    # A command line may have been given bytes that no database takes.
    found = Environment.objects.filter(name=make_storable(name)).first()
    if found is None:
        known = list(Environment.objects.values_list("name", flat=True))
        choices = f"choose one of {', '.join(known)}" if known else "no environment is stored yet"
        raise UnknownEnvironment(f"unknown environment {name[:80]!r}; {suggest(name, known) or choices}")
    return found


def add_values(
    document: Document, given: Mapping[str, Any], environment: Environment | None
) -> dict[str, Any]:
    """The given values, and those of the environment for other variables that the document declares."""
    own = environment.variables if environment is not None else {}
    return {**{name: value for name, value in own.items() if name in document.variables}, **given}


def check_services(plan: Plan, environment: Environment | None) -> None:
    """Check that the environment has all services that the plan names.

    Raises:
        UnknownEnvironment: it lacks one.
    """
    if environment is None:
        return
    known = sorted(environment.services)
    for service in sorted(find_services(plan.steps())):
        if service not in known and not has_late_reference(service):
            raise UnknownEnvironment(explain_missing_service(service, environment.name, known))


def plan_in(document: Document, given: Mapping[str, Any], environment: str) -> Plan:
    """The plan of a run in the environment; without one, "".

    Raises:
        UnknownEnvironment: there is no such environment, or it lacks a service of the document.
        InvalidVariables: a value is missing, unknown, or of the wrong kind.
        InvalidDocument: a rule is broken that can be checked only after the variables are filled in.
    """
    found = read_environment(environment)
    plan = build_plan(document, add_values(document, given, found))
    check_services(plan, found)
    return plan
