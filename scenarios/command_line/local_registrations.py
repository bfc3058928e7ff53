"""The services and hosts of this machine's coordinator, through the application functions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from django.core.exceptions import ValidationError

from scenarios.command_line.coordinator import CommandRefused, NotRegistered
from scenarios.command_line.registrations import (
    CheckFacts,
    HostFacts,
    HostRequest,
    ServiceFacts,
    ServiceRequest,
)
from scenarios.control_room import home_queries
from scenarios.domain.errors import AlreadyRegistered, ServiceHeld
from scenarios.domain.outputs import make_storable
from scenarios.drivers.hosts import format_target
from scenarios.library import hosts, services
from scenarios.library.findings import Finding
from scenarios.library.host_checks import check_host
from scenarios.library.service_checks import check_service
from scenarios.models import Host, Service

REPLACE_HINT = "Add '--replace' to change it."


class LocalRegistrations:
    def list_services(self) -> list[ServiceFacts]:
        return _describe_services(list(Service.objects.all()))

    def save_service(self, request: ServiceRequest, *, replace: bool) -> ServiceFacts:
        fields = asdict(request)
        fields["is_protected"] = fields.pop("protected")
        fields["description"] = _make_storable(request.description)
        with _refusals():
            saved = services.register_service(**fields, only_new=not replace)
        return _describe_services([saved])[0]

    def remove_service(self, name: str) -> None:
        with _refusals():
            services.delete_service(_find_service(name))

    def check_service(self, name: str) -> list[CheckFacts]:
        return _describe_findings(check_service(_find_service(name)))

    def list_hosts(self) -> list[HostFacts]:
        return _describe_hosts(list(Host.objects.all()))

    def save_host(self, request: HostRequest, *, replace: bool) -> HostFacts:
        with _refusals():
            saved = hosts.register_host(
                request.name,
                address=request.address,
                labels=request.labels,
                description=_make_storable(request.description),
                is_protected=request.protected,
                only_new=not replace,
            )
        return _describe_hosts([saved])[0]

    def remove_host(self, name: str) -> None:
        with _refusals():
            hosts.delete_host(_find_host(name))

    def check_host(self, name: str) -> list[CheckFacts]:
        return _describe_findings(check_host(_find_host(name)))


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except AlreadyRegistered as error:
        raise CommandRefused(f"{error} {REPLACE_HINT}") from error
    except ServiceHeld as error:
        raise CommandRefused(str(error)) from error
    except ValidationError as error:
        sentences = (
            f"Invalid {field}: {' '.join(messages)}" for field, messages in error.message_dict.items()
        )
        raise CommandRefused(" ".join(sentences)) from error


def _make_storable(text: str | None) -> str | None:
    return None if text is None else str(make_storable(text))


def _find_service(name: str) -> Service:
    if (row := Service.objects.filter(name=name).first()) is None:
        raise NotRegistered("service", name)
    return row


def _find_host(name: str) -> Host:
    if (row := Host.objects.filter(name=name).first()) is None:
        raise NotRegistered("host", name)
    return row


def _describe_services(rows: Sequence[Service]) -> list[ServiceFacts]:
    held = home_queries.find_holders()
    touching = home_queries.scenarios_by_service(row.name for row in rows)
    return [
        ServiceFacts(
            name=row.name,
            base_url=row.base_url,
            description=row.description,
            health_path=row.health_path,
            health_status=row.health_status,
            protected=row.is_protected,
            proxy=row.proxy,
            proxy_listener=row.proxy_listener,
            proxy_secret=row.proxy_secret,
            held_by=str(held[row.name].pk) if row.name in held else None,
            touched_by=touching.get(row.name, []),
        )
        for row in rows
    ]


def _describe_hosts(rows: Sequence[Host]) -> list[HostFacts]:
    held = {name: str(run.pk) for name, run in home_queries.find_holders().items()}
    return [
        HostFacts(
            row.name,
            row.address,
            row.labels,
            row.description,
            row.is_protected,
            held.get(format_target(row.name)),
        )
        for row in rows
    ]


def _describe_findings(findings: Sequence[Finding]) -> list[CheckFacts]:
    return [CheckFacts(finding.subject, finding.is_well, finding.sentence) for finding in findings]
