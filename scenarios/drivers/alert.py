"""Is an alert firing, according to Prometheus or Alertmanager?"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from scenarios.domain.declarations import ABSENT, Declaration, PositiveDuration
from scenarios.domain.errors import StepFailed, StepImpossible
from scenarios.domain.expectations import format_value
from scenarios.domain.plan import origin
from scenarios.domain.results import ALWAYS, Returned
from scenarios.domain.service_urls import WEB_SCHEMES, parse_service_url
from scenarios.drivers.http_exchange import MAX_BODY_BYTES, Answer, check_web_address, exchange
from scenarios.drivers.listening import require_listener
from scenarios.drivers.prometheus import CONFIGURED, choose_server
from scenarios.drivers.reach import explain_unreachable
from scenarios.drivers.web_credentials import (
    build_authorization,
    build_tls,
    check_credentials,
    choose_credentials,
)
from scenarios.ports import Platform

ALERTMANAGER = "alertmanager"
_TITLES = {"prometheus": "Prometheus", ALERTMANAGER: "Alertmanager"}
_PATHS = {"prometheus": "/api/v1/alerts", ALERTMANAGER: "/api/v2/alerts"}
_OK = 200
_SUPPRESSED = "suppressed"


class AlertReturned(Returned):
    firing: bool = Field(json_schema_extra=ALWAYS, description="Whether any such alert is firing.")
    count: int = Field(json_schema_extra=ALWAYS, ge=0, description="How many are firing.")
    pending: int = Field(
        json_schema_extra=ALWAYS, ge=0, description="How many wait for their `for` to be over, in Prometheus."
    )
    suppressed: int = Field(
        json_schema_extra=ALWAYS,
        ge=0,
        description="How many of those that fire are silenced or inhibited, in Alertmanager.",
    )
    since: str = Field(
        description="Since when the first of them has been firing or pending, as it is written."
    )
    alerts: list[dict[str, Any]] = Field(
        json_schema_extra=ALWAYS,
        description="The `labels`, `annotations`, `state` and `since` of all such alerts.",
    )


class AlertArguments(Declaration):
    """`name` is the `alertname`; `labels` are further labels that the alert must have.

    Without `service` and `server`, the configured Prometheus is asked.
    """

    Returns: ClassVar[type[Returned]] = AlertReturned
    name: Annotated[str, Field(min_length=1, max_length=1000)]
    labels: dict[str, str] = {}
    source: Literal["prometheus", "alertmanager"] = "prometheus"
    service: Annotated[str, Field(min_length=1)] = Field(ABSENT)
    server: Annotated[str, AfterValidator(check_web_address)] = Field(ABSENT)
    timeout: PositiveDuration = 10.0

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if "server" in values and (sentence := explain_unreachable("'server'")):
            yield "server", sentence
        if "server" in values and "service" in values:
            yield "server", "'server' and 'service' cannot be combined: the service has its own address"
        if values.get("source") == ALERTMANAGER and not {"server", "service"} & values.keys():
            yield "source", "no Alertmanager is configured: give the step a 'service' or a 'server'"


class Alert:
    """Alertmanager knows only firing alerts, including those that are silenced or inhibited. Prometheus also
    knows pending ones. Ask Alertmanager to check that an alert has reached it.
    """

    name: ClassVar[str] = "alert"
    libraries: ClassVar[tuple[str, ...]] = ("aiohttp",)
    Arguments: ClassVar[type[AlertArguments]] = AlertArguments

    def check(self, arguments: AlertArguments, platform: Platform) -> None:
        _find_server(arguments, platform)
        check_credentials(arguments, platform, _name_service(arguments))

    async def reach(self, arguments: AlertArguments, platform: Platform) -> Mapping[str, Any]:
        server = _find_server(arguments, platform)
        await require_listener(_build_name(arguments, server), server, platform)
        return {}

    async def probe(self, arguments: AlertArguments, platform: Platform) -> Mapping[str, Any]:
        server = _find_server(arguments, platform)
        name = _build_name(arguments, server)
        credentials = choose_credentials(arguments, platform, _name_service(arguments))
        answer = await exchange(
            "GET",
            f"{server.rstrip('/')}{_PATHS[arguments.source]}",
            name=name,
            seconds=arguments.timeout,
            params=_build_filter(arguments),
            headers={
                "User-Agent": "test-coordinator",
                "Accept": "application/json",
                **build_authorization(credentials.auth),
            },
            tls=build_tls(credentials.tls),
            platform=platform,
            reads=True,
        )
        return _build_fields([alert for alert in _read_alerts(answer, name) if _is_meant(alert, arguments)])

    async def act(self, arguments: AlertArguments, platform: Platform) -> Mapping[str, Any]:
        return await self.probe(arguments, platform)


def _name_service(arguments: AlertArguments) -> str | None:
    """Whose credentials are sent: the service's, or those of PROMETHEUS_URL."""
    return arguments.service or (None if arguments.server else CONFIGURED)


def _find_server(arguments: AlertArguments, platform: Platform) -> str:
    if not arguments.service:
        return choose_server(arguments.server)
    address = platform.address_of(arguments.service)
    try:
        parse_service_url(address, WEB_SCHEMES)
    except ValueError as error:
        title = _TITLES[arguments.source]
        raise StepImpossible(
            f"the address of {arguments.service!r} is not one of {title}: {error}"
        ) from error
    return address


def _build_name(arguments: AlertArguments, server: str) -> str:
    return f"{arguments.service or _TITLES[arguments.source]} at {origin(server)}"


def _build_filter(arguments: AlertArguments) -> list[tuple[str, str]] | None:
    """What Alertmanager filters by; Prometheus returns all alerts."""
    if arguments.source != ALERTMANAGER:
        return None
    return [("filter", f"alertname={json.dumps(arguments.name, ensure_ascii=False)}")]


def _read_alerts(answer: Answer, name: str) -> list[dict[str, Any]]:
    if answer.is_cut:
        raise StepFailed(f"{name} answered more than {MAX_BODY_BYTES} bytes, so not all alerts are known")
    if answer.status != _OK:
        raise StepFailed(f"{name} answered {answer.status}: {format_value(answer.body)}")
    try:
        document = json.loads(answer.body)
        listed = document if isinstance(document, list) else document["data"]["alerts"]
        return [_read_alert(alert) for alert in listed]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise StepFailed(f"{name} answered without a list of alerts: {format_value(answer.body)}") from error


def _read_alert(found: Mapping[str, Any]) -> dict[str, Any]:
    """An alert of either server. https://prometheus.io/docs/prometheus/latest/querying/api/#alerts"""
    is_from_prometheus = "activeAt" in found
    return {
        "labels": dict(found["labels"]),
        "annotations": dict(found.get("annotations") or {}),
        "state": str(found["state"] if is_from_prometheus else found["status"]["state"]),
        "since": str(found["activeAt"] if is_from_prometheus else found["startsAt"]),
    }


def _is_meant(alert: Mapping[str, Any], arguments: AlertArguments) -> bool:
    wanted = {**arguments.labels, "alertname": arguments.name}
    return all(alert["labels"].get(label) == value for label, value in wanted.items())


def _build_fields(alerts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    pending = sum(alert["state"] == "pending" for alert in alerts)
    fields: dict[str, Any] = {
        "firing": len(alerts) > pending,
        "count": len(alerts) - pending,
        "pending": pending,
        "suppressed": sum(alert["state"] == _SUPPRESSED for alert in alerts),
        "alerts": list(alerts),
    }
    return {**fields, "since": min(alert["since"] for alert in alerts)} if alerts else fields
