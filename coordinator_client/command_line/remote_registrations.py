"""The services, hosts and schedules of another coordinator, through its API."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from coordinator_client.command_line.coordinator import CommandRefused
from coordinator_client.command_line.registrations import (
    REPLACE_HINT,
    HostRequest,
    ScheduleRequest,
    ServiceRequest,
)
from coordinator_client.command_line.wording import quote_command
from coordinator_client.errors import (
    ConflictError,
    InvalidDocumentError,
    InvalidRequestError,
    InvalidVariablesError,
    NotFoundError,
    NotSupportedError,
    RefusedError,
    SettingsError,
)
from coordinator_client.records import Check, Deletion, Discovery, Host, Schedule, Service
from coordinator_client.synchronous.client import Client

KEY_REUSED = "idempotency_key_reused"


class RemoteRegistrations:
    _client: Client

    def list_services(self) -> Sequence[Service]:
        return self._client.services.list()

    def find_service(self, name: str) -> Service:
        with explain_missing("service", name):
            return self._client.services.get(name)

    def save_service(self, request: ServiceRequest, *, replace: bool) -> Service:
        with explain_refusals():
            return self._client.services.put(**_list_fields(request), only_new=not replace)

    def remove_service(self, name: str) -> None:
        with explain_missing("service", name):
            self._client.services.delete(name)

    def check_service(self, name: str) -> Sequence[Check]:
        with explain_missing("service", name):
            return self._client.services.test(name)

    def discover_services(self, engine: str, project: str) -> Discovery:
        return self._client.services.discover(engine=engine, project=project)

    def list_hosts(self) -> Sequence[Host]:
        return self._client.hosts.list()

    def find_host(self, name: str) -> Host:
        with explain_missing("host", name):
            return self._client.hosts.get(name)

    def save_host(self, request: HostRequest, *, replace: bool) -> Host:
        with explain_refusals():
            return self._client.hosts.put(**_list_fields(request), only_new=not replace)

    def remove_host(self, name: str) -> None:
        with explain_missing("host", name):
            self._client.hosts.delete(name)

    def check_host(self, name: str) -> Sequence[Check]:
        with explain_missing("host", name):
            return self._client.hosts.test(name)

    def list_schedules(self) -> Sequence[Schedule]:
        return self._client.schedules.list()

    def find_schedule(self, name: str) -> Schedule:
        with explain_missing("schedule", name):
            return self._client.schedules.get(name)

    def save_schedule(self, request: ScheduleRequest, by: str) -> Schedule:
        refuse_person(by)
        fields = request.list_fields()
        schedules = self._client.schedules
        with explain_fields():
            try:
                stored = schedules.get(request.name)
            except NotSupportedError:
                raise
            except NotFoundError:
                check_new_schedule(request)
                given = {name: value for name, value in fields.items() if value is not None}
                scenario, cron = given.pop("scenario", ""), given.pop("cron")
                return schedules.put(request.name, scenario, cron, **given)
            if request.runs_another(stored):
                fields["variables"] = {**dict.fromkeys(stored.variables), **request.variables}
            return schedules.patch(request.name, **fields)

    def remove_schedule(self, name: str) -> Deletion | None:
        with explain_missing("schedule", name):
            return self._client.schedules.delete(name)

    def keep_schedule(self, name: str) -> Deletion:
        return self._client.schedules.withdraw_deletion(name)

    def pause_schedule(self, name: str, *, paused: bool) -> Schedule:
        with explain_missing("schedule", name):
            schedules = self._client.schedules
            return schedules.pause(name) if paused else schedules.resume(name)


def check_new_schedule(request: ScheduleRequest) -> None:
    """Raises CommandRefused if a schedule that does not exist cannot be made of this."""
    if not request.cron or not (request.scenario or request.suite):
        raise CommandRefused(
            f"A new schedule needs '--cron', and '--scenario' or '--suite'; there is no schedule "
            f"{request.name!r} yet."
        )


def refuse_person(by: str) -> None:
    """Over the API, the token says who it is."""
    if by:
        raise SettingsError(
            f"'--as {by}' works on the coordinator's own machine only; elsewhere, the token says who you are."
        )


def _list_fields(request: ServiceRequest | HostRequest) -> dict[str, Any]:
    return {field: value for field, value in asdict(request).items() if value is not None}


@contextmanager
def explain_missing(kind: str, name: object) -> Iterator[None]:
    try:
        yield
    except NotSupportedError:
        raise
    except NotFoundError as error:
        sentence = build_missing(kind, name)
        raise NotFoundError(sentence, status=error.status or 0, code=error.code) from None
    except InvalidRequestError as error:
        if not any(str(item.get("path", "")).startswith("path.") for item in error.errors):
            raise
        # No row can have this name or number.
        raise NotFoundError(build_missing(kind, name), status=error.status or 0) from None


def build_missing(kind: str, name: object) -> str:
    return f"There is no {kind} {name!r}; {quote_command(f'{kind} list')} lists all."


@contextmanager
def explain_refusals() -> Iterator[None]:
    """As `explain_fields`, with a hint where something is registered already."""
    try:
        with explain_fields():
            yield
    except ConflictError as error:
        raise ConflictError(f"{error} {REPLACE_HINT}", status=error.status or 0, code=error.code) from error


def _format_hint(item: Mapping[str, Any]) -> str:
    return f" ({item['hint']})" if item.get("hint") else ""


def _name_field(path: str) -> str:
    """For example `events.0`: a number alone would say nothing."""
    parts = path.split(".")
    first = next((place for place in reversed(range(len(parts))) if not parts[place].isdecimal()), 0)
    return ".".join(parts[first:])


@contextmanager
def explain_fields() -> Iterator[None]:
    """Adds what the API says at single fields."""
    try:
        yield
    except (InvalidDocumentError, InvalidVariablesError):  # which name their places themselves
        raise
    except InvalidRequestError as error:
        sentences = [
            f"Invalid {_name_field(str(item.get('path', '')))}: {item['message']}{_format_hint(item)}"
            for item in error.errors
            if "message" in item
        ]
        if not sentences or error.code == KEY_REUSED:  # its sentence has the key
            raise
        status = error.status or 0
        raise RefusedError(
            "\n".join(sentences), status=status, code=error.code, errors=error.errors
        ) from error
