"""The services and hosts of another coordinator, through its API."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from scenarios.command_line.answers import parse_checks, parse_host, parse_service
from scenarios.command_line.coordinator import CommandRefused, NotRegistered
from scenarios.command_line.http_api import HttpApi, Refusal
from scenarios.command_line.local_registrations import REPLACE_HINT
from scenarios.command_line.registrations import (
    CheckFacts,
    HostFacts,
    HostRequest,
    ServiceFacts,
    ServiceRequest,
)


class RemoteRegistrations:
    def __init__(self, api: HttpApi) -> None:
        self._api = api

    def list_services(self) -> list[ServiceFacts]:
        return [parse_service(row) for row in self._api.items("services")]

    def save_service(self, request: ServiceRequest, *, replace: bool) -> ServiceFacts:
        return parse_service(self._save("services", asdict(request), replace=replace))

    def remove_service(self, name: str) -> None:
        self._ask("DELETE", "service", name)

    def check_service(self, name: str) -> list[CheckFacts]:
        return parse_checks(self._ask("POST", "service", name, "/test"))

    def list_hosts(self) -> list[HostFacts]:
        return [parse_host(row) for row in self._api.items("hosts")]

    def save_host(self, request: HostRequest, *, replace: bool) -> HostFacts:
        return parse_host(self._save("hosts", asdict(request), replace=replace))

    def remove_host(self, name: str) -> None:
        self._ask("DELETE", "host", name)

    def check_host(self, name: str) -> list[CheckFacts]:
        return parse_checks(self._ask("POST", "host", name, "/test"))

    def _save(self, kind: str, fields: dict[str, Any], *, replace: bool) -> Any:
        name = fields.pop("name")
        body = {field: value for field, value in fields.items() if value is not None}
        if not replace:
            body["only_new"] = True
        with _refusals():
            return self._api.json("PUT", f"{kind}/{quote(name, safe='')}", json=body)

    def _ask(self, method: str, kind: str, name: str, more: str = "") -> Any:
        try:
            return self._api.json(method, f"{kind}s/{quote(name, safe='')}{more}")
        except Refusal as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise NotRegistered(kind, name) from None
            raise


@contextmanager
def _refusals() -> Iterator[None]:
    """Adds what the API says at single fields."""
    try:
        yield
    except Refusal as error:
        if error.status == HTTPStatus.CONFLICT:
            raise CommandRefused(f"{error} {REPLACE_HINT}") from error
        sentences = [
            f"Invalid {str(item.get('path', '')).rpartition('.')[2]}: {item['message']}"
            for item in error.errors
            if "message" in item
        ]
        if not sentences:
            raise
        raise CommandRefused(" ".join(sentences)) from error
