"""Asks a gRPC server for its health, or calls one of its unary methods."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal

from django.conf import settings
from pydantic import AfterValidator, Field

from scenarios.domain.declarations import ABSENT
from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone, StepNotSent
from scenarios.domain.expectations import format_value
from scenarios.domain.own_threads import run_in_own_thread
from scenarios.domain.results import ALWAYS, Returned
from scenarios.domain.web_words import Auth, TlsOrFlag
from scenarios.drivers import grpc_calls
from scenarios.drivers.grpc_calls import Reply, Target
from scenarios.drivers.grpc_encryption import PROTOCOL, encrypt
from scenarios.drivers.listening import find_refusal
from scenarios.drivers.servers import (
    AddressArguments,
    Protocol,
    Server,
    find_addresses,
    find_broken_rules,
    find_server,
    require_server,
)
from scenarios.drivers.web_credentials import (
    Credentials,
    build_authorization,
    build_tls,
    check_credentials,
    choose_credentials,
)
from scenarios.ports import Platform

GRPC = Protocol("gRPC", ("grpc",))
_CALL = re.compile(r"[A-Za-z_][\w.]*/[A-Za-z_]\w*", re.ASCII)
_FILE_NAME = re.compile(r"[\w-][\w.-]*", re.ASCII)
_METADATA = re.compile(r"[a-z0-9_.-]+")
# The server may have done it, or may do it still. https://grpc.io/docs/guides/status-codes/
_UNDECIDED = frozenset({"CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
_EXTRA = "the driver 'grpc' is not installed: install the extra, 'test-coordinator[grpc]'"


def _check_call(text: str) -> str:
    if not _CALL.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not a method: write it like 'shop.v1.Orders/Cancel'")
    return text


def _check_file_name(text: str) -> str:
    if not _FILE_NAME.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not the name of a file in GRPC_DESCRIPTOR_DIR")
    return text


def _check_metadata(metadata: dict[str, str]) -> dict[str, str]:
    for name, value in metadata.items():
        if not _METADATA.fullmatch(name) or name.endswith("-bin") or name.startswith("grpc-"):
            raise ValueError(f"{name[:80]!r} is not a name of metadata: use lower case, digits and '-'")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"the value of {name!r} must be printable ASCII")
    return metadata


# https://grpc.io/docs/guides/status-codes/
_Code = Literal[
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
# https://grpc.io/docs/guides/health-checking/
_Health = Literal["SERVING", "NOT_SERVING", "SERVICE_UNKNOWN", "UNKNOWN"]


class GrpcReturned(Returned):
    code: _Code = Field(json_schema_extra=ALWAYS, description="The status code, such as `OK` or `NOT_FOUND`.")
    details: str = Field(json_schema_extra=ALWAYS, description="What the server says about the status.")
    health: _Health = Field(description="`SERVING`, `NOT_SERVING` or `SERVICE_UNKNOWN`, of a health check.")
    json_body: Any = Field(alias="json", description="The response to `call` as JSON, if it is OK.")
    elapsed: float = Field(json_schema_extra=ALWAYS, ge=0, description="Seconds, with the connection.")


class GrpcArguments(AddressArguments):
    """`service` or `url`, such as `grpc://host:50051`. Without `call`, it asks for the health of the server,
    or of the gRPC service `health`. `message` is the request of `call` as JSON. `tls: true` encrypts, with
    the system's authorities.
    """

    Returns: ClassVar[type[Returned]] = GrpcReturned
    health: Annotated[str, Field(max_length=200)] = ""
    call: Annotated[str, Field(max_length=400), AfterValidator(_check_call)] = Field(ABSENT)
    message: dict[str, Any] = {}
    metadata: Annotated[dict[str, str], AfterValidator(_check_metadata)] = {}
    descriptors: Annotated[str, Field(max_length=200), AfterValidator(_check_file_name)] = Field(ABSENT)
    tls: TlsOrFlag = False
    auth: Auth = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from find_broken_rules(values, GRPC)
        metadata = values.get("metadata")
        if "auth" in values and isinstance(metadata, Mapping) and "authorization" in metadata:
            yield "auth", "'auth' and the metadata 'authorization' cannot be combined: choose one"
        if "call" in values and "health" in values:
            yield "health", "'health' and 'call' cannot be combined: a step does one of them"
        for word in ("message", "descriptors"):
            if word in values and "call" not in values:
                yield word, f"{word!r} belongs to 'call', which is missing"


class Grpc:
    """Calls unary methods that the server describes by reflection, or that `descriptors` describes: a file in
    GRPC_DESCRIPTOR_DIR, made by `protoc --include_imports --descriptor_set_out`.

    An action is done if the code is `OK`. A probe accepts any code. A probe with `call` may change something,
    so it needs the same approvals as an action. Fields of the response have the names of JSON, as
    `orderId`; 64-bit integers are text. The driver needs the extra `grpc`.
    """

    name: ClassVar[str] = "grpc"
    Arguments: ClassVar[type[GrpcArguments]] = GrpcArguments
    decided_by: ClassVar[str] = "code"

    @property
    def libraries(self) -> tuple[str, ...]:
        """What a run imports before it begins, if it is installed."""
        return ("grpc",) if find_spec("grpc") else ()

    def acts_when_probed(self, arguments: Mapping[str, Any]) -> bool:
        return "call" in arguments

    def is_of_target(self, fields: Mapping[str, Any]) -> bool:
        return fields["code"] not in _UNDECIDED

    def check(self, arguments: GrpcArguments, platform: Platform) -> None:
        _require_extra()
        find_server(arguments, platform, GRPC)
        check_credentials(arguments, platform, arguments.service)
        if arguments.descriptors:
            _read_descriptors(arguments.descriptors)

    def find_load_error(self, fields: Mapping[str, Any]) -> str:
        return "" if fields["code"] == "OK" else f"status {fields['code']}"

    async def reach(self, arguments: GrpcArguments, platform: Platform) -> Mapping[str, Any]:
        await require_server(find_server(arguments, platform, GRPC), platform)
        return {}

    async def probe(self, arguments: GrpcArguments, platform: Platform) -> Mapping[str, Any]:
        _require_extra()
        server = find_server(arguments, platform, GRPC)
        started = time.perf_counter()
        if not arguments.call:
            reply = await _ask(arguments, server, platform, _ask_health(arguments))
            health = _read_health(reply)
            fields: dict[str, Any] = {"health": health} if health else {}
        else:
            reply = await _ask(arguments, server, platform, _ask_method(arguments))
            fields = {"json": reply.message} if reply.code == "OK" else {}
        fields |= {"code": reply.code, "details": reply.details}
        return {**fields, "elapsed": time.perf_counter() - started}

    async def act(self, arguments: GrpcArguments, platform: Platform) -> Mapping[str, Any]:
        if not arguments.call:
            raise StepImpossible("a health check changes nothing: use it as a probe, or give 'call'")
        fields = await self.probe(arguments, platform)
        if fields["code"] == "OK":
            return fields
        failure = StepFailed if fields["code"] in _UNDECIDED else StepNotDone
        name = find_server(arguments, platform, GRPC).name
        said = format_value(fields["details"])
        raise failure(f"{name} answered {fields['code']} to {arguments.call}: {said}")


def _require_extra() -> None:
    if not all(find_spec(name) for name in ("grpc", "grpc_health", "grpc_reflection")):
        raise StepImpossible(_EXTRA)


async def _ask(
    arguments: GrpcArguments, server: Server, platform: Platform, question: Callable[[Target], Reply]
) -> Reply:
    deadline = time.monotonic() + arguments.timeout
    # grpcio reports a refused connection only like a server that is not available.
    if refusal := await find_refusal(server.host, server.port, platform, arguments.timeout):
        raise StepNotSent(f"{server.name} {refusal}")
    addresses = await find_addresses(server, platform)
    credentials = choose_credentials(arguments, platform, arguments.service)
    metadata = (*arguments.metadata.items(), *_build_authorization(credentials))
    async with AsyncExitStack() as stack:
        if context := build_tls(credentials.tls, PROTOCOL):
            encryption = encrypt(server, addresses, context, deadline - time.monotonic())
            channel = grpc_calls.open_channel(
                server, addresses, socket=await stack.enter_async_context(encryption)
            )
        else:
            channel = grpc_calls.open_channel(server, addresses, tls=arguments.tls is True)
        # Where the step was cancelled, this ends the call that the thread is waiting for.
        stack.callback(channel.close)
        return await run_in_own_thread(partial(question, Target(channel, server.name, deadline, metadata)))


def _build_authorization(credentials: Credentials) -> list[tuple[str, str]]:
    found = build_authorization(credentials.auth)
    if not all(map(str.isascii, found.values())):
        raise StepImpossible("the secret of 'auth' is not ASCII: gRPC cannot send it")
    return [(name.lower(), value) for name, value in found.items()]


def _ask_health(arguments: GrpcArguments) -> Callable[[Target], Reply]:
    return lambda target: grpc_calls.check_health(target, arguments.health)


def _ask_method(arguments: GrpcArguments) -> Callable[[Target], Reply]:
    files = _read_descriptors(arguments.descriptors) if arguments.descriptors else None
    return lambda target: grpc_calls.call_method(target, arguments.call, arguments.message, files)


def _read_health(reply: Reply) -> str:
    from grpc_health.v1 import health_pb2  # noqa: PLC0415

    if reply.code != "OK":
        return "SERVICE_UNKNOWN" if reply.code == "NOT_FOUND" else ""
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.message.status))


def _read_descriptors(name: str) -> list[Any]:
    """The files that a file of GRPC_DESCRIPTOR_DIR describes.

    Raises:
        StepImpossible: the site allows none, or it cannot be read.
    """
    from google.protobuf import descriptor_pb2, message  # noqa: PLC0415

    if settings.GRPC_DESCRIPTOR_DIR is None:
        raise StepImpossible(f"{name!r} is not allowed on this site: GRPC_DESCRIPTOR_DIR is empty")
    try:
        data = (settings.GRPC_DESCRIPTOR_DIR / name).read_bytes()
        return list(descriptor_pb2.FileDescriptorSet.FromString(data).file)
    except OSError as error:
        raise StepImpossible(f"{name!r} in GRPC_DESCRIPTOR_DIR cannot be read: {error.strerror}") from error
    except message.DecodeError as error:
        hint = "make it with 'protoc --include_imports --descriptor_set_out'"
        raise StepImpossible(f"{name!r} in GRPC_DESCRIPTOR_DIR is not a descriptor set: {hint}") from error
