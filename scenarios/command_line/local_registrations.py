"""The services and hosts of this machine's coordinator, through the application functions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from django.core.exceptions import ValidationError

from coordinator_client.command_line.coordinator import CommandRefused, NotFound
from coordinator_client.command_line.registrations import (
    REPLACE_HINT,
    HostRequest,
    ScheduleRequest,
    ServiceRequest,
)
from coordinator_client.command_line.remote_registrations import build_missing, check_new_schedule
from coordinator_client.parsing import parse
from coordinator_client.records import Check, Deletion, Discovery, Host, Schedule, Service
from scenarios import models
from scenarios.command_line.local_deletions import describe_deletion, withdraw_deletion
from scenarios.command_line.local_people import find_person
from scenarios.control_room import home_queries
from scenarios.domain.errors import AlreadyRegistered, InvalidSchedule, ServiceHeld
from scenarios.domain.outputs import make_storable
from scenarios.domain.timetable import parse_window
from scenarios.drivers.hosts import format_target
from scenarios.library import hosts, services
from scenarios.library.discovery import discover_services
from scenarios.library.findings import Finding
from scenarios.library.host_checks import check_host
from scenarios.library.service_checks import check_service
from scenarios.planning import schedules
from scenarios.published.records import format_time


class LocalRegistrations:
    def list_services(self) -> list[Service]:
        return _describe_services(list(models.Service.objects.all()))

    def find_service(self, name: str) -> Service:
        return _describe_services([_find_service(name)])[0]

    def save_service(self, request: ServiceRequest, *, replace: bool) -> Service:
        fields = asdict(request)
        fields["is_protected"] = fields.pop("protected")
        fields["description"] = _make_storable(request.description)
        with explain_refusals():
            saved = services.register_service(**fields, only_new=not replace)
        return _describe_services([saved])[0]

    def remove_service(self, name: str) -> None:
        with explain_refusals():
            services.delete_service(_find_service(name))

    def check_service(self, name: str) -> list[Check]:
        return _describe_findings(check_service(_find_service(name)))

    def discover_services(self, engine: str, project: str) -> Discovery:
        return parse(Discovery, asdict(discover_services(engine, project)))

    def list_hosts(self) -> list[Host]:
        return _describe_hosts(list(models.Host.objects.all()))

    def find_host(self, name: str) -> Host:
        return _describe_hosts([_find_host(name)])[0]

    def save_host(self, request: HostRequest, *, replace: bool) -> Host:
        with explain_refusals():
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
        with explain_refusals():
            hosts.delete_host(_find_host(name))

    def check_host(self, name: str) -> list[Check]:
        return _describe_findings(check_host(_find_host(name)))

    def list_schedules(self) -> list[Schedule]:
        return [_describe_schedule(row) for row in models.Schedule.objects.select_related("changed_by")]

    def find_schedule(self, name: str) -> Schedule:
        return _describe_schedule(_find_schedule(name), in_full=True)

    def save_schedule(self, request: ScheduleRequest, by: str) -> Schedule:
        person = find_person(by, schedules.PERMISSIONS, choose_only_one=True)
        stored = models.Schedule.objects.filter(name=request.name).first()
        if stored is None:
            check_new_schedule(request)
        try:
            schedules.put_schedule(request.name, _list_columns(request, stored), by=person)
        except InvalidSchedule as error:
            raise CommandRefused(_format_invalid(error)) from error
        return self.find_schedule(request.name)

    def remove_schedule(self, name: str) -> Deletion | None:
        return describe_deletion(schedules.delete_schedule(_find_schedule(name)))

    def keep_schedule(self, name: str) -> Deletion:
        return withdraw_deletion(_find_schedule(name))

    def pause_schedule(self, name: str, *, paused: bool) -> Schedule:
        try:
            schedules.pause(_find_schedule(name), paused=paused)
        except InvalidSchedule as error:
            raise CommandRefused(f"Schedule {name!r} cannot be resumed: {error}.") from error
        return _describe_schedule(_find_schedule(name))


@contextmanager
def explain_refusals() -> Iterator[None]:
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


def _list_columns(request: ScheduleRequest, stored: models.Schedule | None) -> dict[str, Any]:
    """What is given; for a new schedule, the defaults of the rest, as over the API."""
    columns: dict[str, Any] = {"cron": request.cron, "time_zone": request.time_zone}
    columns |= {"priority": request.priority, "environment": request.environment}
    columns = {name: make_storable(value) for name, value in columns.items() if value is not None}
    if request.scenario or request.suite:
        columns |= {"scenario_name": request.scenario or "", "suite_name": request.suite or ""}
    runs_another = stored is not None and request.runs_another(_describe_schedule(stored))
    if request.variables or request.unset or runs_another:
        kept = stored.variables if stored and not runs_another else {}
        kept = {name: value for name, value in kept.items() if name not in request.unset}
        columns["variables"] = {**kept, **make_storable(dict(request.variables))}
    if request.window is not None:
        begins, ends = parse_window(*request.window) if any(request.window) else (None, None)
        columns |= {"window_from": begins, "window_to": ends}
    return columns


def _format_invalid(error: InvalidSchedule) -> str:
    names = {"scenario_name": "scenario", "suite_name": "suite"}
    return "\n".join(
        f"Invalid {names.get(field, field)}: {sentence}" for field, sentence in error.errors.items()
    )


def _make_storable(text: str | None) -> str | None:
    return None if text is None else str(make_storable(text))


def _find_service(name: str) -> models.Service:
    if (row := models.Service.objects.filter(name=name).first()) is None:
        raise NotFound(build_missing("service", name))
    return row


def _find_host(name: str) -> models.Host:
    if (row := models.Host.objects.filter(name=name).first()) is None:
        raise NotFound(build_missing("host", name))
    return row


def _find_schedule(name: str) -> models.Schedule:
    row = models.Schedule.objects.select_related("changed_by").filter(name=name).first()
    if row is None:
        raise NotFound(build_missing("schedule", name))
    return row


def _describe_services(rows: Sequence[models.Service]) -> list[Service]:
    held = home_queries.find_holders()
    uses, unused = home_queries.list_uses(row.name for row in rows), home_queries.NamedIn()
    return [
        parse(
            Service,
            {
                "name": row.name,
                "base_url": row.base_url,
                "description": row.description,
                "health_path": row.health_path,
                "health_status": row.health_status,
                "protected": row.is_protected,
                "proxy": row.proxy,
                "proxy_listener": row.proxy_listener,
                "proxy_secret": row.proxy_secret,
                "tls": row.tls or {},
                "auth": row.auth or {},
                "held_by": str(held[row.name].pk) if row.name in held else None,
                "touched_by": list(uses.get(row.name, unused).touching),
                "probed_by": list(uses.get(row.name, unused).probing),
            },
        )
        for row in rows
    ]


def _describe_hosts(rows: Sequence[models.Host]) -> list[Host]:
    held = {name: str(run.pk) for name, run in home_queries.find_holders().items()}
    return [
        parse(
            Host,
            {
                "name": row.name,
                "address": row.address,
                "labels": row.labels,
                "description": row.description,
                "protected": row.is_protected,
                "held_by": held.get(format_target(row.name)),
            },
        )
        for row in rows
    ]


def _describe_schedule(row: models.Schedule, *, in_full: bool = False) -> Schedule:
    fields = {
        "name": row.name,
        "scenario": row.scenario_name,
        "suite": row.suite_name,
        "variables": row.variables,
        "environment": row.environment,
        "cron": row.cron,
        "time_zone": row.time_zone,
        "paused": row.is_paused,
        "next_at": format_time(row.next_at) if row.next_at else None,
        "changed_by": row.changed_by.get_username() if row.changed_by else None,
    }
    return parse(Schedule, {**fields, "obstacle": schedules.find_obstacle(row)} if in_full else fields)


def _describe_findings(findings: Sequence[Finding]) -> list[Check]:
    return [
        parse(Check, {"subject": found.subject, "ok": found.is_well, "sentence": found.sentence})
        for found in findings
    ]
