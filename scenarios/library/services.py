"""Registers, changes and deletes services."""

from typing import Any

from django.db import transaction

from scenarios.charts.service_queries import give_default_queries
from scenarios.domain import addresses
from scenarios.domain.errors import AddressProtected, AddressUnknown, AlreadyRegistered, ServiceHeld
from scenarios.models import DEFAULT_HEALTH_PATH, Hold, Service
from scenarios.runs import admission, registry


def check_address(service: Service) -> None:
    """Refuse a service at the address of a protected one, for users who may not protect services.

    Every request of a run is compared with the protected addresses anyway. This check tells users early.

    Raises:
        AddressProtected: a protected service is registered at this address.
        AddressUnknown: the host cannot be resolved, and there are protected services to compare with.
    """
    others = [other for other in registry.read_services() if other.name != service.name]
    endpoint = addresses.parse_endpoint(service.base_url)
    if endpoint is None or not any(other.is_protected for other in others):
        return
    host, port = endpoint
    known = addresses.names.resolve([host]).get(host)
    if protected := registry.Registry(others).find_protected_at(addresses.resolve_places(endpoint)):
        raise AddressProtected(
            f"{service.base_url!r} leads to {', '.join(map(repr, protected))}, which is protected; "
            "registering a service there needs the permission 'protect_service'."
        )
    if not known:
        raise AddressUnknown(
            f"{host!r} cannot be resolved, so {host}:{port} cannot be compared with the addresses of "
            "protected services; check the spelling, or ask somebody with the permission 'protect_service'."
        )


@transaction.atomic
def register_service(
    name: str,
    base_url: str,
    description: str | None = None,
    *,
    only_new: bool = False,
    health_status: int | None = None,
    **fields: str | bool | dict[str, Any] | None,
) -> Service:
    """Register a service with the default chart queries, or change a registered one.

    `fields` are other fields of the model. Values that are None stay as they are; a `health_status` of 0
    means any from 200 to 299. A service without a fault proxy has no listener there.

    Raises:
        AlreadyRegistered: with `only_new`, there is a service with this name.
        ValidationError: a value is not valid.
    """
    admission.lock_admission()  # of two callers that register the same service, the second changes it
    service = Service.objects.filter(name=name).first() or Service(name=name)
    is_new = service.pk is None
    if only_new and not is_new:
        raise AlreadyRegistered(f"Service {name!r} is already registered, at {service.base_url}.")
    changes = {"base_url": base_url, "description": description, **fields}
    if fields.get("proxy") == "":
        changes["proxy_listener"] = fields.get("proxy_listener") or ""
    for field, value in changes.items():
        if value is not None:
            setattr(service, field, value)
    if health_status is not None:
        service.health_status = health_status or None
    save_service(service)
    if is_new:
        give_default_queries(service)
    return service


@transaction.atomic
def delete_service(service: Service) -> None:
    """Delete the service and its chart queries.

    Raises:
        ServiceHeld: a run holds it; without the address its faults could not be undone.
    """
    admission.lock_admission()  # no run can take a hold in the meantime
    if hold := Hold.objects.filter(service=service.name).select_related("run").first():
        raise ServiceHeld(f"Service {service.name!r} cannot be deleted now, because it is held by {hold}.")
    service.delete()


def save_service(service: Service) -> Service:
    """Store the service. If it is protected, runs that touch it need an approval, even if already queued.

    Raises:
        ValidationError: a value is not valid.
    """
    service.health_path = service.health_path or DEFAULT_HEALTH_PATH
    service.full_clean()
    service.save()
    return service
