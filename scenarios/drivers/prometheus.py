"""Sends an instant query in PromQL to a Prometheus server."""

import json
import math
import ssl
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from django.conf import settings
from pydantic import AfterValidator, Field

from scenarios.domain.declarations import ABSENT, Declaration
from scenarios.domain.errors import StepFailed, StepImpossible
from scenarios.domain.expectations import format_value
from scenarios.domain.plan import origin
from scenarios.domain.results import ALWAYS, Returned
from scenarios.domain.web_words import Auth, Tls, find_credential_problems
from scenarios.drivers.http_exchange import MAX_BODY_BYTES, Answer, check_web_address, exchange
from scenarios.drivers.listening import require_listener
from scenarios.drivers.reach import explain_unreachable
from scenarios.drivers.web_credentials import (
    build_authorization,
    build_tls,
    check_credentials,
    choose_credentials,
)
from scenarios.ports import Platform

MAX_SECONDS = 30.0
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
# Instead of a service's name: the one of PROMETHEUS_URL.
CONFIGURED = ""
MAX_WARNINGS = 3
MAX_WARNING_LENGTH = 500
_OK = 200
# https://prometheus.io/docs/prometheus/latest/querying/api/#format-overview
_BAD_QUERY = 400


# NaN and the infinities are text; other numbers never are.
Sample = Annotated[float | str, Field(json_schema_extra={"samples": True})]


class PrometheusReturned(Returned):
    value: float | str = Field(
        description="The value of the only series, or the scalar. With several series use `all`, `any` or "
        "`count`, without any series `count`.",
        json_schema_extra={"series": True, "samples": True},
    )
    values: list[Sample] = Field(json_schema_extra=ALWAYS, description="The values of all series.")
    samples: list[dict[str, Any]] = Field(
        json_schema_extra=ALWAYS, description="The `metric` (labels) and `value` of all series."
    )
    note: str = Field(description="What the server warns of, such as a partial response.")


class PrometheusArguments(Declaration):
    """`query` is PromQL; without a `server`, the configured one is used."""

    Returns: ClassVar[type[Returned]] = PrometheusReturned
    query: Annotated[str, Field(min_length=1, max_length=10_000)]
    server: Annotated[str, AfterValidator(check_web_address)] = Field(ABSENT)
    auth: Auth = Field(ABSENT)
    tls: Tls = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if "server" in values and (sentence := explain_unreachable("'server'")):
            yield "server", sentence
        yield from find_credential_problems(values, "server")


class Prometheus:
    """NaN and the infinities are returned as the texts `NaN`, `+Inf` and `-Inf`."""

    name: ClassVar[str] = "prometheus"
    libraries: ClassVar[tuple[str, ...]] = ("aiohttp",)
    Arguments: ClassVar[type[PrometheusArguments]] = PrometheusArguments

    def check(self, arguments: PrometheusArguments, platform: Platform) -> None:
        choose_server(arguments.server)
        check_credentials(arguments, platform, CONFIGURED if not arguments.server else None)

    async def reach(self, arguments: PrometheusArguments, platform: Platform) -> Mapping[str, Any]:
        server = choose_server(arguments.server)
        await require_listener(f"Prometheus at {origin(server)}", server, platform)
        return {}

    def acts_when_probed(self, arguments: Mapping[str, Any]) -> bool:
        """Queries are sent by POST, and a server named by the step need not be a Prometheus."""
        return not _is_configured(str(arguments.get("server") or settings.PROMETHEUS_URL))

    async def probe(self, arguments: PrometheusArguments, platform: Platform) -> Mapping[str, Any]:
        server = choose_server(arguments.server)
        query = {"query": arguments.query}
        credentials = choose_credentials(arguments, platform, CONFIGURED if not arguments.server else None)
        found = await _ask_api(
            server,
            "query",
            query,
            seconds=MAX_SECONDS,
            platform=platform,
            headers=build_authorization(credentials.auth),
            tls=build_tls(credentials.tls),
        )
        return _build_fields(found)

    async def act(self, arguments: PrometheusArguments, platform: Platform) -> Mapping[str, Any]:
        return await self.probe(arguments, platform)


def _is_configured(server: str) -> bool:
    return server.rstrip("/") == str(settings.PROMETHEUS_URL).rstrip("/")


def choose_server(named: str) -> str:
    """Return the server that a step names, or else the configured one.

    Raises:
        StepImpossible: the site allows only the configured server, or none is configured.
    """
    if named and (sentence := explain_unreachable("'server'")):
        raise StepImpossible(sentence)
    server = named or str(settings.PROMETHEUS_URL)
    if not server:
        raise StepImpossible("no Prometheus is configured: set PROMETHEUS_URL, or give the step a 'server'")
    return server


def find_configured(server: str) -> Mapping[str, Any]:
    """`tls` and `auth` of PROMETHEUS_URL, with references to secrets; none if it is another server."""
    if server:
        return {}
    return {"tls": settings.PROMETHEUS_TLS, "auth": settings.PROMETHEUS_AUTH}


def build_access(web: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `query_api` from the words `tls` and `auth`, with their secrets.

    Raises:
        StepImpossible: a file or a secret cannot be used.
    """
    auth, tls = web.get("auth"), web.get("tls")
    return {
        "headers": build_authorization(Auth.model_validate(auth) if auth else None),
        "tls": build_tls(Tls.model_validate(tls) if tls else None),
    }


async def query_api(server: str, endpoint: str, words: Mapping[str, str], **access: Any) -> Mapping[str, Any]:
    """Return the `data` in the response of `/api/v1/{endpoint}`; `access` as for `exchange`.

    Raises:
        StepImpossible: Prometheus rejected the query.
        StepFailed: there was no response in time, or it could not be read.
    """
    found: Mapping[str, Any] = (await _ask_api(server, endpoint, words, **access))["data"]
    return found


async def _ask_api(
    server: str,
    endpoint: str,
    words: Mapping[str, str],
    *,
    seconds: float,
    platform: Platform | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
    tls: ssl.SSLContext | None = None,
) -> Mapping[str, Any]:
    name = f"Prometheus at {origin(server)}"
    # Sent as a form, because a query may be longer than a URL.
    answer = await exchange(
        "POST",
        f"{server.rstrip('/')}/api/v1/{endpoint}",
        name=name,
        seconds=seconds,
        data=dict(words),
        headers={"User-Agent": "test-coordinator", **headers},
        tls=tls,
        platform=platform,
        reads=_is_configured(server),
    )
    return _read_document(answer, name)


def _read_document(answer: Answer, name: str) -> Mapping[str, Any]:
    if answer.is_cut:
        raise StepFailed(
            f"{name} answered more than {MAX_BODY_BYTES} bytes: reduce the result, for example with 'sum(…)'"
        )
    try:
        document: Mapping[str, Any] = json.loads(answer.body)
        if document["status"] == "error" and answer.status == _BAD_QUERY:
            raise StepImpossible(f"{name} rejected the query: {document['error']}")
        if answer.status != _OK or document["status"] != "success":
            raise StepFailed(f"{name} answered {answer.status}: {document['error']}")
        _ = document["data"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise StepFailed(
            f"{name} answered {answer.status} without the result of a query: {format_value(answer.body)}"
        ) from error
    return document


def _build_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    fields = _build_values(document["data"])
    warnings = document.get("warnings")
    if isinstance(warnings, list) and warnings:
        # A partial response may lack the very series that are looked for.
        shown = "; ".join(map(str, warnings[:MAX_WARNINGS]))
        fields["note"] = f"Prometheus warns: {shown[:MAX_WARNING_LENGTH]}"
    return fields


def _build_values(result: Mapping[str, Any]) -> dict[str, Any]:
    try:
        kind, found = result["resultType"], result["result"]
        if kind == "matrix":
            raise StepImpossible(
                "the query returns a range: reduce it to a number, for example with 'max_over_time(…)'"
            )
        if kind in {"scalar", "string"}:
            value = found[1] if kind == "string" else _parse_number(found[1])
            return {"value": value, "values": [value], "samples": [{"metric": {}, "value": value}]}
        if kind != "vector":
            raise StepFailed(f"the server returned {format_value(kind)}, not a vector: is it a Prometheus?")
        if any("histogram" in sample for sample in found):
            raise StepImpossible(
                "the query returns native histograms: reduce them to numbers, for example with "
                "'histogram_quantile(0.95, …)' or 'histogram_count(…)'"
            )
        samples = [
            {"metric": dict(sample["metric"]), "value": _parse_number(sample["value"][1])} for sample in found
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StepFailed(
            f"Prometheus returned a result that cannot be read: {format_value(result)}"
        ) from error
    values = [sample["value"] for sample in samples]
    fields: dict[str, Any] = {"values": values, "samples": samples}
    return {"value": values[0], **fields} if len(values) == 1 else fields


def _parse_number(text: str) -> float | str:
    """A number, or the text 'NaN', '+Inf' or '-Inf', which JSON cannot represent as numbers."""
    number = float(text)
    return number if math.isfinite(number) else text
