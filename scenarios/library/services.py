"""Registers, changes and deletes services."""

from django.db import transaction

from scenarios.charts.service_queries import give_default_queries
from scenarios.domain import addresses
from scenarios.domain.errors import AddressProtected, AddressUnknown, ServiceHeld
from scenarios.models import DEFAULT_HEALTH_PATH, Hold, Service
from scenarios.runs import admission, registry


def check_address(service: Service) -> None:
    """Refuse a service at the address of a protected one, for users who may not protect services.

    Every request of a run is compared with the protected addresses anyway. This check tells users early.

    Raises:
        AddressProtected: a protected service is registered at this address.
        AddressUnknown: the host cannot be resolved, and there are protected services to compare with.
    """
    others = [one for one in registry.read_services() if one.name != service.name]
    endpoint = addresses.parse_endpoint(service.base_url)
    if endpoint is None or not any(one.is_protected for one in others):
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
    name: str, base_url: str, description: str | None = None, *, is_protected: bool | None = None
) -> Service:
    """Register a service with the default chart queries, or change a registered one.

    Arguments that are None leave the value as it is.

    Raises:
        ValidationError: the name is not a DNS label, or the address is not an HTTP URL.
    """
    admission.lock_admission()  # of two callers that register the same service, the second changes it
    service = Service.objects.filter(name=name).first() or Service(name=name)
    is_new = service.pk is None
    service.base_url = base_url
    service.description = service.description if description is None else description
    service.is_protected = service.is_protected if is_protected is None else is_protected
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
        ValidationError: the name is not a DNS label, or the address is not an HTTP URL.
    """
    service.health_path = service.health_path or DEFAULT_HEALTH_PATH
    service.full_clean()
    service.save()
    return service
