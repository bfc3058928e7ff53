"""The address of a server that speaks its own protocol: a registered service, or a URL such as redis://host."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import Field

from scenarios.domain.declarations import ABSENT, Declaration, PositiveDuration
from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.domain.service_urls import ServiceUrl, parse_service_url
from scenarios.domain.templates import is_templated
from scenarios.drivers.gate import AddressInfo, admit
from scenarios.drivers.listening import find_refusal
from scenarios.drivers.reach import explain_unreachable
from scenarios.ports import FaultCall, Platform


@dataclass(frozen=True, slots=True)
class Protocol:
    """`schemes` are those of its URLs; a service may also be registered as `tcp://host:port`."""

    title: str
    schemes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Server:
    """`name` is what messages call it. `path` is what follows the port in its URL, without the slash."""

    url: str
    name: str
    host: str
    port: int
    path: str


class AddressArguments(Declaration):
    """`service` or `url`."""

    service: Annotated[str, Field(min_length=1)] = Field(ABSENT)
    url: Annotated[str, Field(min_length=1, max_length=2000)] = Field(ABSENT)
    timeout: PositiveDuration = 10.0


class ServerArguments(AddressArguments):
    """`service` or `url`, and who logs in."""

    user: Annotated[str, Field(min_length=1, max_length=200)] = Field(ABSENT)
    password: Annotated[str, Field(min_length=1, max_length=2000)] = Field(ABSENT)


def find_broken_rules(values: Mapping[str, Any], protocol: Protocol) -> Iterator[tuple[str, str]]:
    """The rules between `service` and `url`, for `relations` of a declaration."""
    url = values.get("url")
    if "url" in values and (sentence := explain_unreachable("'url'")):
        yield "url", sentence
    if "url" in values and "service" in values:
        yield "service", "'service' and 'url' cannot be combined: a URL is the whole address"
    elif "url" not in values and "service" not in values:
        yield "", "the step has no address: give 'service' or 'url'"
    if isinstance(url, str) and not is_templated(url):
        try:
            parse_url(url, protocol)
        except ValueError as error:
            yield "url", str(error)


def find_broken_kinds(values: Mapping[str, Any], kinds: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The rule that a fault has one of these kinds, for `relations` of a declaration."""
    found = [kind for kind in kinds if kind in values]
    if not found:
        yield "", f"the fault has no kind: give one of {', '.join(map(repr, kinds))}"
    for extra in found[1:]:
        yield extra, f"{extra!r} and {found[0]!r} cannot be combined: write a fault for each"


def find_server(arguments: AddressArguments, platform: Platform, protocol: Protocol) -> Server:
    """The server that the arguments name.

    Raises:
        StepImpossible: the service is not registered, or its address is not one of this protocol.
    """
    if not arguments.service:
        if sentence := explain_unreachable("'url'"):
            raise StepImpossible(sentence)
        return read_server(arguments.url, "", protocol)
    return read_server(platform.address_of(arguments.service), arguments.service, protocol)


def build_target(arguments: AddressArguments, server: Server, label: str) -> Mapping[str, Any]:
    """What the ledger stores of a fault. A URL of the step stays out of it, because it may hold a secret."""
    return {"url": server.url, "label": label} if arguments.service else {"label": label}


def name_place(arguments: AddressArguments, server: Server, protocol: Protocol) -> str:
    """The server, for a label; see `build_target`."""
    return server.name if arguments.service else f"{protocol.title} at the address of the step"


def find_place(arguments: AddressArguments, fault: FaultCall, protocol: Protocol) -> Server:
    """Where the fault was to be injected, wherever its service is now.

    Raises:
        StepImpossible: it is not a URL of this protocol.
    """
    return read_server(str(fault.target.get("url") or arguments.url), arguments.service or "", protocol)


def read_server(url: str, service: str, protocol: Protocol) -> Server:
    """The server at this URL, which the service had when it was looked up.

    Raises:
        StepImpossible: it is not a URL of this protocol.
    """
    try:
        found = parse_url(url, protocol)
    except ValueError as error:
        whose = f"the address of {service!r} is not one of {protocol.title}: " if service else ""
        raise StepImpossible(f"{whose}{error}") from error
    place = found.place
    name = f"{service or protocol.title} at {found.scheme}://{place}"
    return Server(url, name, place.host, place.port, unquote(found.path.strip("/")))


def parse_url(url: str, protocol: Protocol) -> ServiceUrl:
    """Check a URL of this protocol; ValueError with a sentence where it is not one."""
    return parse_service_url(url, (*protocol.schemes, "tcp"))


async def require_server(server: Server, platform: Platform) -> None:
    """Check that something listens there.

    Raises:
        StepFailed: nothing listens, or the run may not touch what is there.
    """
    if refusal := await find_refusal(server.host, server.port, platform):
        raise StepFailed(f"{server.name} {refusal}")


async def find_addresses(server: Server, platform: Platform, *, reads: bool = False) -> list[AddressInfo]:
    """The addresses of the server that the run may connect to.

    Raises:
        StepNotSent: its name cannot be resolved.
        StepFailed: the run may not connect; see GatedPlatform.
    """
    try:
        return await admit(server.host, server.port, platform, reads=reads)
    except (OSError, UnicodeError) as error:
        raise StepNotSent(f"{server.name} has a host name that cannot be resolved") from error


def to_milliseconds(seconds: float) -> int:
    """At least 1, because servers read 0 as no limit."""
    return max(1, math.ceil(seconds * 1000))
