"""A gRPC server for tests, by grpcio: a shop with orders, its health, and with or without reflection."""

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

SERVICE = "shop.v1.Orders"
MAX_HANG = 30.0
_TEXT, _INT64, _MESSAGE = 9, 3, 11


def describe() -> descriptor_pb2.FileDescriptorProto:
    """`service Orders { rpc Cancel(Order) returns (Order); rpc Watch(Order) returns (stream Order); }`"""
    file = descriptor_pb2.FileDescriptorProto(name="shop/v1/orders.proto", package="shop.v1", syntax="proto3")
    file.dependency.append("google/protobuf/duration.proto")
    order = file.message_type.add(name="Order")
    order.field.add(name="order_id", number=1, type=_TEXT, label=1, json_name="orderId")
    order.field.add(name="cents", number=2, type=_INT64, label=1, json_name="cents")
    took = order.field.add(name="took", number=3, type=_MESSAGE, label=1, json_name="took")
    took.type_name = ".google.protobuf.Duration"
    service = file.service.add(name="Orders")
    for name, is_stream in (("Cancel", False), ("Watch", True)):
        service.method.add(
            name=name, input_type=".shop.v1.Order", output_type=".shop.v1.Order", server_streaming=is_stream
        )
    return file


@dataclass
class GrpcServer:
    """`health` sets statuses; `calls` holds the requests; an order's id decides what happens to it."""

    port: int
    health: health.HealthServicer
    calls: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"grpc://127.0.0.1:{self.port}"

    def cancel(self, order: Any, context: grpc.ServicerContext) -> Any:
        self.calls.append(order.order_id)
        if order.order_id == "hang":
            self.over.wait(MAX_HANG)
        if order.order_id in grpc.StatusCode.__members__:
            context.abort(grpc.StatusCode[order.order_id], "as you wanted")
        if order.order_id == "metadata":
            order.order_id = dict(context.invocation_metadata()).get("authorization", "")
        order.cents += 1
        order.took.seconds = 2
        return order


@contextmanager
def grpc_server(
    *, reflects: bool = True, has_health: bool = True, certificate: Path | None = None
) -> Iterator[GrpcServer]:
    """`certificate` is a file with a certificate and its key: the server then expects TLS."""
    pool = descriptor_pool.DescriptorPool()
    for file in (duration_pb2.DESCRIPTOR.serialized_pb, describe().SerializeToString()):
        pool.AddSerializedFile(file)
    order = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.v1.Order"))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=[("grpc.so_reuseport", 0)])
    if certificate is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        both = certificate.read_bytes()
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(both, both)]))
    found = GrpcServer(port, health.HealthServicer())
    handler = grpc.unary_unary_rpc_method_handler(
        found.cancel, request_deserializer=order.FromString, response_serializer=order.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Cancel": handler}),))
    if has_health:
        health_pb2_grpc.add_HealthServicer_to_server(found.health, server)
        found.health.set("", health_pb2.HealthCheckResponse.SERVING)
    if reflects:
        reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server, pool=pool)
    server.start()
    try:
        yield found
    finally:
        found.over.set()
        server.stop(None).wait(300)
