"""Calls of gRPC methods whose messages are only known at run time. Blocking: run it in a thread of its own.

grpcio is an optional extra and imported when a step runs. Its asyncio side keeps one event loop per process,
so its blocking side is used. Closing the channel ends its calls.
"""

import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.domain.expectations import format_value
from scenarios.drivers.gate import AddressInfo
from scenarios.drivers.servers import Server

MAX_FILES = 500
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_UNTRUSTED = ("verification check failed", "certificate_verify_failed")
# Debian, Fedora.
_ROOTS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
# How long before its end a deadline may be reported.
_CLOSE_SECONDS = 0.1
# The first is the present one; many servers know only the second. Their messages are the same.
# https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
_REFLECTIONS = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
# What grpcio itself says of connections; with the same code, servers say something else.
_LOST = ("failed to connect", "socket closed", "connection reset", "recvmsg", "goaway", "endpoint closing")


@dataclass(frozen=True, slots=True)
class Target:
    """A channel to a server, and when its calls must have ended, by `time.monotonic`."""

    channel: Any
    name: str
    deadline: float
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def seconds(self) -> float:
        return max(0.001, self.deadline - time.monotonic())


@dataclass(frozen=True, slots=True)
class Reply:
    """`code` is the name of the status code, such as `OK`; `message` is None unless it is OK."""

    code: str
    details: str
    message: Any


def open_channel(
    server: Server, addresses: Iterable[AddressInfo], *, tls: bool = False, socket: str = ""
) -> Any:
    """A channel that connects to these addresses, which were admitted, and to no other.

    `socket`: the path of a Unix socket to connect to instead.
    """
    import grpc  # noqa: PLC0415

    ips = list(dict.fromkeys(str(info[4][0]) for info in addresses))
    # Of one family, because a target has one scheme.
    family = "ipv6" if ":" in ips[0] else "ipv4"
    chosen = [ip for ip in ips if (":" in ip) == (family == "ipv6")]
    places = [f"[{ip}]:{server.port}" if family == "ipv6" else f"{ip}:{server.port}" for ip in chosen]
    host = f"[{server.host}]" if ":" in server.host else server.host
    options = [
        ("grpc.default_authority", f"{host}:{server.port}"),
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ]
    target = f"unix:{socket}" if socket else f"{family}:{','.join(places)}"
    if not tls:
        return grpc.insecure_channel(target, options=options)
    options.append(("grpc.ssl_target_name_override", server.host))
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(_read_roots()), options=options)


def _read_roots() -> bytes | None:
    """The certificates that the system trusts, instead of those that grpcio brings along."""
    for path in (ssl.get_default_verify_paths().cafile, *_ROOTS):
        with suppress(OSError):
            if path:
                return Path(path).read_bytes()
    return None


def check_health(target: Target, service: str) -> Reply:
    """Ask the standard health service. https://grpc.io/docs/guides/health-checking/"""
    from grpc_health.v1 import health_pb2  # noqa: PLC0415

    request = health_pb2.HealthCheckRequest(service=service)
    reply = _call(target, "grpc.health.v1.Health", "Check", request, health_pb2.HealthCheckResponse)
    if reply.code == "UNIMPLEMENTED":
        raise StepFailed(f"{target.name} has no health service (grpc.health.v1.Health)")
    return reply


def call_method(target: Target, call: str, words: Mapping[str, Any], files: Iterable[Any] | None) -> Reply:
    """Call a unary method, `package.Service/Method`, with a message as JSON; its answer too is JSON.

    `files` are FileDescriptorProtos; without them the server's reflection is asked.

    Raises:
        StepImpossible: there is no such method, or the message does not fit it.
        StepNotSent: the server has no reflection.
        StepFailed: the server does not answer.
    """
    from google.protobuf import json_format, message_factory  # noqa: PLC0415

    service, _, method = call.partition("/")
    pool = _build_pool(_reflect(target, service) if files is None else files)
    found = _find_method(pool, service, method, target.name)
    request = message_factory.GetMessageClass(found.input_type)()
    try:
        json_format.ParseDict(dict(words), request, descriptor_pool=pool)
    except json_format.ParseError as error:
        kind = found.input_type.full_name
        raise StepImpossible(f"the message does not fit {kind!r}: {error}") from error
    answer = message_factory.GetMessageClass(found.output_type)
    reply = _call(target, service, method, request, answer)
    if reply.message is None:
        return reply
    shown = json_format.MessageToDict(
        reply.message, always_print_fields_with_no_presence=True, descriptor_pool=pool
    )
    return Reply(reply.code, reply.details, shown)


def _call(target: Target, service: str, method: str, request: Any, answer: Any) -> Reply:
    import grpc  # noqa: PLC0415

    unary = target.channel.unary_unary(
        f"/{service}/{method}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer.FromString,
    )
    try:
        return Reply("OK", "", unary(request, timeout=target.seconds, metadata=target.metadata))
    except grpc.RpcError as error:
        return _read_error(target, error)


def _read_error(target: Target, error: Any) -> Reply:
    """The status that the server answered.

    Raises:
        StepFailed: it did not answer.
    """
    code, details = error.code().name, str(error.details() or "")
    if code == "DEADLINE_EXCEEDED" and target.deadline - time.monotonic() < _CLOSE_SECONDS:
        raise StepFailed(f"{target.name} did not answer in time") from error
    if code == "UNAVAILABLE" and any(words in details.lower() for words in _LOST):
        if any(words in details.lower() for words in _UNTRUSTED):
            raise StepNotSent(f"{target.name} has a certificate that is not trusted") from error
        raise StepFailed(f"{target.name} did not answer by gRPC: {format_value(details)}") from error
    return Reply(code, details, None)


def _reflect(target: Target, service: str) -> Iterator[Any]:
    """The file that declares the service, and those that it imports."""
    from google.protobuf import descriptor_pb2  # noqa: PLC0415
    from grpc_reflection.v1alpha import reflection_pb2  # noqa: PLC0415

    ask = reflection_pb2.ServerReflectionRequest
    waiting = [ask(file_containing_symbol=service)]
    seen: set[str] = set()
    while waiting:
        for data in _ask_reflection(target, waiting.pop(), service):
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            if file.name in seen:
                continue
            seen.add(file.name)
            if len(seen) > MAX_FILES:
                raise StepFailed(f"{target.name} describes {service!r} by more than {MAX_FILES} files")
            yield file
            waiting += [ask(file_by_filename=name) for name in file.dependency if name not in seen]


def _ask_reflection(target: Target, request: Any, service: str) -> Iterable[bytes]:
    import grpc  # noqa: PLC0415
    from grpc_reflection.v1alpha import reflection_pb2  # noqa: PLC0415

    for reflection in _REFLECTIONS:
        stream = target.channel.stream_stream(
            f"/{reflection}/ServerReflectionInfo",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        try:
            answer = next(iter(stream(iter([request]), timeout=target.seconds, metadata=target.metadata)))
        except StopIteration:
            raise StepFailed(f"{target.name} ended its reflection without an answer") from None
        except grpc.RpcError as error:
            reply = _read_error(target, error)
            if reply.code == "UNIMPLEMENTED":
                continue
            raise StepFailed(
                f"{target.name} answered {reply.code} to reflection: {format_value(reply.details)}"
            ) from error
        if answer.WhichOneof("message_response") == "error_response":
            raise StepImpossible(f"{target.name} knows no service {service!r} by reflection")
        files: Iterable[bytes] = answer.file_descriptor_response.file_descriptor_proto
        return files
    raise StepNotSent(
        f"{target.name} has no server reflection: enable it there, or give the step 'descriptors'"
    )


def _build_pool(files: Iterable[Any]) -> Any:
    from google.protobuf import descriptor_pool  # noqa: PLC0415

    named = {file.name: file for file in files}
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()

    def add(name: str) -> None:
        if name in added:
            return
        added.add(name)
        file = named.get(name) or _find_known(name)
        for needed in file.dependency:
            add(needed)
        try:
            pool.Add(file)
        except TypeError as error:
            raise StepImpossible(f"the description {name!r} cannot be used: {error}") from error

    for name in named:
        add(name)
    return pool


def _find_known(name: str) -> Any:
    """A file that protobuf itself brings along, such as google/protobuf/timestamp.proto."""
    from google.protobuf import (  # noqa: PLC0415
        any_pb2,
        descriptor_pb2,
        duration_pb2,
        empty_pb2,
        field_mask_pb2,
        struct_pb2,
        timestamp_pb2,
        wrappers_pb2,
    )

    modules = (any_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
    known = {module.DESCRIPTOR.name: module.DESCRIPTOR for module in modules}
    if name not in known:
        raise StepImpossible(f"the description lacks the file {name!r}: include its imports")
    file = descriptor_pb2.FileDescriptorProto()
    known[name].CopyToProto(file)
    return file


def _find_method(pool: Any, service: str, method: str, name: str) -> Any:
    try:
        found = pool.FindServiceByName(service)
    except KeyError as error:
        raise StepImpossible(f"{name} has no service {service!r} in its description") from error
    known = [descriptor.name for descriptor in found.methods]
    if method not in known:
        raise StepImpossible(f"{service!r} has no method {method!r}: it has {', '.join(known)}")
    chosen = found.FindMethodByName(method)
    if chosen.client_streaming or chosen.server_streaming:
        raise StepImpossible(f"{service}/{method} is a stream: a step calls only unary methods")
    return chosen
