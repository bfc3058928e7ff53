"""Registers, changes and deletes hosts."""

from collections.abc import Mapping

from django.core.exceptions import ValidationError
from django.db import transaction

from scenarios.domain.errors import AddressProtected, AlreadyRegistered, ServiceHeld
from scenarios.drivers.hosts import format_target
from scenarios.models import Hold, Host
from scenarios.models.hosts import check_ssh_address
from scenarios.runs import admission
from scenarios.runs.host_targets import RegisteredHosts


def check_address(host: Host) -> None:
    """Refuse a host at the address of a protected one, for users who may not protect hosts.

    Raises:
        AddressProtected: a protected host is registered there, whatever the user and the port of SSH.
    """
    if host.address:
        try:
            check_ssh_address(host.address)
        except ValidationError:
            return  # reported where it is stored
    protected = set(
        Host.objects.filter(is_protected=True).exclude(name=host.name).values_list("name", flat=True)
    )
    if protected and (found := protected & RegisteredHosts().find_at(host.address)):
        place = repr(host.address) if host.address else "The machine of the worker"
        raise AddressProtected(
            f"{place} is also the host {', '.join(map(repr, sorted(found)))}, which is protected; "
            "registering a host there needs the permission 'protect_host'."
        )


@transaction.atomic
def register_host(
    name: str,
    *,
    only_new: bool = False,
    address: str | None = None,
    labels: Mapping[str, str] | None = None,
    **fields: str | bool | None,
) -> Host:
    """Register a host, or change a registered one.

    `fields` are other fields of the model. Values that are None stay as they are; `labels` replace all.

    Raises:
        AlreadyRegistered: with `only_new`, there is a host with this name.
        ValidationError: a value is not valid.
    """
    admission.lock_admission()  # of two callers that register the same host, the second changes it
    host = Host.objects.filter(name=name).first() or Host(name=name)
    if only_new and host.pk is not None:
        place = host.address or "the machine of the worker"
        raise AlreadyRegistered(f"Host {name!r} is already registered, at {place}.")
    given = {"address": address, "labels": None if labels is None else dict(labels), **fields}
    for field, value in given.items():
        if value is not None:
            setattr(host, field, value)
    return save_host(host)


def save_host(host: Host) -> Host:
    """Store the host. If it is protected, runs that touch it need an approval, even if already queued.

    Raises:
        ValidationError: a value is not valid.
    """
    host.full_clean()
    host.save()
    return host


@transaction.atomic
def delete_host(host: Host) -> None:
    """Delete the host.

    Raises:
        ServiceHeld: a run holds it; without the address its faults could not be undone.
    """
    admission.lock_admission()  # no run can take a hold in the meantime
    holds = Hold.objects.filter(service=format_target(host.name))
    if hold := holds.select_related("run").first():
        raise ServiceHeld(f"Host {host.name!r} cannot be deleted now, because it is held by {hold}.")
    host.delete()
