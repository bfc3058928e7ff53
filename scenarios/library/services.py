"""Registers, changes and deletes services."""

from django.db import transaction

from scenarios.charts.service_queries import give_default_queries
from scenarios.domain import addresses
from scenarios.domain.errors import AddressProtected, AddressUnknown, ServiceHeld
from scenarios.models import DEFAULT_HEALTH_PATH, Hold, Service
from scenarios.runs import admission, registry


def check_address(service: Service) -> None:
    """For whoever may not protect services: the service must not stand at the address of a protected one.

    Every request of a run is compared with the protected addresses anyway; this is so that nobody believes
    to have registered a service of their own.

    Raises:
        AddressProtected: a protected service is registered where this address leads.
        AddressUnknown: it cannot be resolved, and protected services are registered.
    """
    others = [one for one in registry.read_services() if one.name != service.name]
    endpoint = addresses.parse_endpoint(service.base_url)
    if endpoint is None or not any(one.is_protected for one in others):
        return
    host, port = endpoint
    known = addresses.names.resolve([host]).get(host)
    if protected := registry.Registry(others).find_protected_at(addresses.resolve_places(endpoint)):
        raise AddressProtected(
            f"{service.base_url!r} leads to {', '.join(map(repr, protected))}, which is protected: to "
            "register a service there needs the permission 'protect_service'."
        )
    if not known:
        raise AddressUnknown(
            f"{host!r} cannot be resolved here, so that {host}:{port} cannot be compared with the "
            "addresses of protected services: name one that can be, or ask someone with the "
            "permission 'protect_service'."
        )


@transaction.atomic
def register_service(
    name: str, base_url: str, description: str | None = None, *, is_protected: bool | None = None
) -> Service:
    """Register the service, with the default queries for charts, or give a registered one this address.

    What is None stays as it is.

    Raises:
        ValidationError: the name is no DNS label, or the address no http(s) URL.
    """
    admission.lock_admission()  # of two that register the same one, the second changes the first's
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
    """Delete the service with its queries for charts.

    Raises:
        ServiceHeld: a run has it for itself; without its address nothing could be undone there.
    """
    admission.lock_admission()  # no run takes it meanwhile
    if hold := Hold.objects.filter(service=service.name).select_related("run").first():
        raise ServiceHeld(f"Service {service.name!r} cannot be deleted now: it is held by {hold}.")
    service.delete()


def save_service(service: Service) -> Service:
    """Store the service. Runs that touch a protected one, queued ones too, then need an approval.

    Raises:
        ValidationError: the name is no DNS label, or the address no http(s) URL.
    """
    service.health_path = service.health_path or DEFAULT_HEALTH_PATH
    service.full_clean()
    service.save()
    return service
