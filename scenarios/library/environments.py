"""Stores, changes and deletes environments."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from scenarios.domain.environments import name_in
from scenarios.domain.errors import AlreadyRegistered, ServiceHeld
from scenarios.domain.spelling import suggest
from scenarios.library.services import check_address
from scenarios.models import Environment, Hold, Service
from scenarios.runs import admission


def check_addresses(environment: Environment) -> None:
    """Refuse addresses of protected services, for users who may not protect services.

    Raises:
        AddressProtected: a protected service is registered at an address.
        AddressUnknown: a host cannot be resolved, and there are protected services to compare with.
    """
    for name, words in environment.services.items():
        check_address(Service(name=name_in(name, environment.name), base_url=words.get("base_url", "")))


@transaction.atomic
def put_environment(
    name: str, fields: Mapping[str, Any], *, by: User | None, only_new: bool = False
) -> Environment:
    """Create the environment, or change these fields of the existing one. Values that are None stay.

    Raises:
        AlreadyRegistered: with `only_new`, there is an environment with this name.
        ValidationError: a value is not valid, or a service is not registered.
    """
    admission.lock_admission()  # of two callers that create the same one, the second changes it
    environment = Environment.objects.filter(name=name).first() or Environment(name=name)
    if only_new and environment.pk is not None:
        raise AlreadyRegistered(f"Environment {name!r} already exists.")
    for field, value in fields.items():
        if value is not None:
            setattr(environment, field, value)
    return save_environment(environment, by=by)


def save_environment(environment: Environment, *, by: User | None) -> Environment:
    """Store the environment. Runs that have begun keep the addresses that they began with.

    Raises:
        ValidationError: a value is not valid, or a service is not registered.
    """
    environment.changed_by = by
    environment.full_clean()
    check_registered(environment)
    environment.save()
    return environment


def check_registered(environment: Environment) -> None:
    """Check that its services are registered, so that a misspelt name is found before a run needs it.

    Raises:
        ValidationError: one is not.
    """
    known = sorted(Service.objects.values_list("name", flat=True))
    for name in environment.services if isinstance(environment.services, dict) else ():
        if name not in known:
            hint = suggest(name, known) or "register it first"
            raise ValidationError({"services": f"Unknown service {name!r}; {hint}."})


@transaction.atomic
def delete_environment(environment: Environment) -> None:
    """Delete the environment.

    Raises:
        ServiceHeld: a run holds a service there; without the address its faults could not be undone.
    """
    admission.lock_admission()  # no run can take a hold in the meantime
    holds = Hold.objects.filter(service__endswith=name_in("", environment.name))
    if hold := holds.select_related("run").first():
        raise ServiceHeld(
            f"Environment {environment.name!r} cannot be deleted now, because {hold.service!r} is held by "
            f"{hold}."
        )
    environment.delete()
