"""Checks whether something listens on a TCP port."""

import re
import time
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from scenarios.domain.declarations import ABSENT, WHOLE, Declaration, PositiveDuration
from scenarios.domain.errors import StepImpossible, StepNotSent
from scenarios.domain.results import ALWAYS, Returned
from scenarios.domain.service_urls import DEFAULT_PORTS
from scenarios.drivers.listening import find_refusal
from scenarios.drivers.reach import explain_unreachable
from scenarios.ports import Platform

# Letters of all scripts, because names may be internationalised. An IPv6 address may name its interface.
_HOST = re.compile(r"[\w.:%-]+")


def _check_host(text: str) -> str:
    """Return the name or address, without the brackets of an IPv6 address."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not _HOST.fullmatch(bare):
        raise ValueError(f"{text[:80]!r} is not a host: write only its name or its address")
    if ":" in bare:
        try:
            ip_address(bare)
        except ValueError:
            rule = "a name or an IPv4 address has no ':', and the port belongs under 'port'"
            raise ValueError(f"{text[:80]!r} is not a host: {rule}") from None
    return bare


class TcpReturned(Returned):
    connected: bool = Field(
        json_schema_extra=ALWAYS, description="Whether something accepted the connection."
    )
    elapsed: float = Field(json_schema_extra=ALWAYS, ge=0, description="Seconds until this was known.")
    note: str = Field(description="Why the connection failed, if it did.")


class TcpArguments(Declaration):
    """`host` and `port`, or `service`. An IPv6 address may be in brackets."""

    Returns: ClassVar[type[Returned]] = TcpReturned
    service: Annotated[str, Field(min_length=1)] = Field(ABSENT)
    host: Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_check_host)] = Field(ABSENT)
    port: Annotated[int, Field(ge=1, le=65535), WHOLE] = Field(ABSENT)
    timeout: PositiveDuration = 5.0

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if "host" in values and (sentence := explain_unreachable("'host'")):
            yield "host", sentence
        if "service" in values:
            for word in {"host", "port"} & values.keys():
                yield word, f"{word!r} and 'service' cannot be combined: the service has its own address"
        elif not {"host", "port"} <= values.keys():
            yield "", "the step has no address: give 'service', or 'host' and 'port'"


class Tcp:
    """As an action, it fails if nothing listens."""

    name: ClassVar[str] = "tcp"
    Arguments: ClassVar[type[TcpArguments]] = TcpArguments
    arrives_late: ClassVar[bool] = False
    decided_by: ClassVar[str] = "connected"

    def check(self, arguments: TcpArguments, platform: Platform) -> None:
        _find_address(arguments, platform)

    def find_load_error(self, fields: Mapping[str, Any]) -> str:
        return "" if fields["connected"] else "no connection"

    async def reach(self, arguments: TcpArguments, platform: Platform) -> Mapping[str, Any]:
        await self.act(arguments, platform)
        return {}

    async def probe(self, arguments: TcpArguments, platform: Platform) -> Mapping[str, Any]:
        host, port = _find_address(arguments, platform)
        refusal, elapsed = await self._connect(arguments, platform, host, port)
        fields: dict[str, Any] = {"connected": not refusal, "elapsed": elapsed}
        return {**fields, "note": f"{_format_address(host, port)} {refusal}"} if refusal else fields

    async def act(self, arguments: TcpArguments, platform: Platform) -> Mapping[str, Any]:
        host, port = _find_address(arguments, platform)
        refusal, elapsed = await self._connect(arguments, platform, host, port)
        if refusal:
            raise StepNotSent(
                f"{arguments.service or 'the target'} at {_format_address(host, port)} {refusal}"
            )
        return {"connected": True, "elapsed": elapsed}

    async def _connect(
        self, arguments: TcpArguments, platform: Platform, host: str, port: int
    ) -> tuple[str, float]:
        """Why the connection failed ('' if it succeeded), and the seconds that it took."""
        started = time.perf_counter()
        refusal = await find_refusal(host, port, platform, arguments.timeout)
        return refusal, time.perf_counter() - started


def _format_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _find_address(arguments: TcpArguments, platform: Platform) -> tuple[str, int]:
    if not arguments.service:
        if sentence := explain_unreachable("'host'"):
            raise StepImpossible(sentence)
        return arguments.host, arguments.port
    address = platform.address_of(arguments.service)
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError as error:
        message = f"{address!r}, the address of {arguments.service!r}, is not valid: {error}"
        raise StepImpossible(message) from error
    if not host or not port:
        raise StepImpossible(f"{address!r}, the address of {arguments.service!r}, has no host or no port")
    return host, port
