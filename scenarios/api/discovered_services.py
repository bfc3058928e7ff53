"""Services of compose projects that may be registered."""

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from scenarios.api.access import needs
from scenarios.api.description import REFUSALS
from scenarios.api.paging import Text
from scenarios.library.discovery import discover_services

router = Router(tags=["services"])


class DiscoveredService(Schema):
    """One port of a service of a compose project."""

    name: str = Field(description="A name to register it under.")
    engine: str
    project: str
    service: str = Field(description="What the project calls it.")
    port: int = Field(description="Where it listens inside its containers.")
    containers: list[str]
    urls: list[str] = Field(description="Where it may be reached: published ports first.")
    registered: str = Field(description="The service that is registered at one of these; empty if none is.")


class DiscoveredServices(Schema):
    services: list[DiscoveredService]
    failures: list[str] = Field(description="Of engines that could not be asked.")


class DiscoveryFilters(Schema):
    engine: Text | None = Field(None, description="One of CONTAINER_ENGINES; all by default.")
    project: Text | None = Field(None, description="A project of Docker Compose; all by default.")


@router.get(
    "/discovered-services", response={200: DiscoveredServices, **REFUSALS}, url_name="discovered_services"
)
@needs("scenarios.view_service", "scenarios.add_service")
def list_discovered_services(request: HttpRequest, filters: Query[DiscoveryFilters]) -> dict[str, Any]:
    """List what the container engines know of compose projects. Nothing is registered."""
    return asdict(discover_services(filters.engine or "", filters.project or ""))
