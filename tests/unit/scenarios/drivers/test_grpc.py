"""The grpc driver, against servers by grpcio: health, unary methods, and what happens without reflection."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from pydantic import ValidationError
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone, StepNotSent
from scenarios.drivers import grpc as driver
from scenarios.drivers.grpc import Grpc, GrpcArguments
from scenarios.ports import acts_when_probed
from tests.servers.grpc_server import GrpcServer, describe, grpc_server
from tests.servers.loopback import wait_for

from .conftest import Platform, Serve

CANCEL = {"call": "shop.v1.Orders/Cancel"}


@pytest.fixture(scope="module")
def server() -> Iterator[GrpcServer]:
    with grpc_server() as found:
        yield found


def build(**words: Any) -> GrpcArguments:
    return GrpcArguments.model_validate({"service": "exchange", "timeout": "120s", **words})


async def ask(url: str, **words: Any) -> dict[str, Any]:
    return dict(await Grpc().probe(build(**words), Platform(url)))


async def cancel(url: str, order: str, **words: Any) -> dict[str, Any]:
    return dict(await Grpc().act(build(**CANCEL, message={"orderId": order}, **words), Platform(url)))


async def test_health_of_the_server(server: GrpcServer) -> None:
    seen = await ask(server.url)
    assert (seen["health"], seen["code"]) == ("SERVING", "OK")
    server.health.set("shop", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert (await ask(server.url, health="shop"))["health"] == "NOT_SERVING"
    unknown = await ask(server.url, health="nothing")
    assert (unknown["health"], unknown["code"]) == ("SERVICE_UNKNOWN", "NOT_FOUND")


async def test_method_is_called_with_json(server: GrpcServer) -> None:
    seen = await ask(server.url, **CANCEL, message={"orderId": "7", "cents": 2})
    assert (seen["code"], seen["json"]) == ("OK", {"orderId": "7", "cents": "3", "took": "2s"})
    assert (await cancel(server.url, "8"))["json"]["orderId"] == "8"
    assert server.calls[-2:] == ["7", "8"]


async def test_metadata_is_sent(server: GrpcServer) -> None:
    seen = await cancel(server.url, "metadata", metadata={"authorization": "Bearer 1"})
    assert seen["json"]["orderId"] == "Bearer 1"


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("NOT_FOUND", StepNotDone),
        ("FAILED_PRECONDITION", StepNotDone),
        ("UNAVAILABLE", StepFailed),
        ("INTERNAL", StepFailed),
    ],
)
async def test_code_says_whether_an_action_may_have_been_done(
    server: GrpcServer, code: str, failure: type[StepFailed]
) -> None:
    with pytest.raises(
        StepFailed, match=rf"exchange at grpc://.* answered {code} to .*: 'as you wanted'"
    ) as raised:
        await cancel(server.url, code)
    assert type(raised.value) is failure
    seen = await ask(server.url, **CANCEL, message={"orderId": code})
    assert (seen["code"], seen["details"], "json" in seen) == (code, "as you wanted", False)
    assert Grpc().is_of_target(seen) is (failure is StepNotDone)


async def test_hanging_server_ends_the_step_in_time(server: GrpcServer) -> None:
    with pytest.raises(StepFailed, match="did not answer in time"):
        await cancel(server.url, "hang", timeout="1s")


async def test_cancelled_step_ends_its_call(server: GrpcServer) -> None:
    before = server.calls.count("hang")
    step = asyncio.create_task(cancel(server.url, "hang"))
    await asyncio.to_thread(wait_for, lambda: server.calls.count("hang") > before, what="it is called")
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"call": "shop.v1.Nothing/Cancel"}, "knows no service 'shop.v1.Nothing' by reflection"),
        ({"call": "shop.v1.Orders/Canel"}, "has no method 'Canel': it has Cancel, Watch"),
        ({"call": "shop.v1.Orders/Watch"}, "only unary methods"),
        ({**CANCEL, "message": {"order": 1}}, "the message does not fit 'shop.v1.Order'"),
        ({**CANCEL, "message": {"orderId": 1}}, "the message does not fit 'shop.v1.Order'"),
    ],
)
async def test_call_that_makes_no_sense_is_impossible(
    server: GrpcServer, words: dict[str, Any], sentence: str
) -> None:
    calls = list(server.calls)
    with pytest.raises(StepImpossible, match=sentence):
        await ask(server.url, **words)
    assert server.calls == calls


async def test_server_without_reflection_needs_descriptors(tmp_path: Path, settings: Settings) -> None:
    settings.GRPC_DESCRIPTOR_DIR = tmp_path
    described = descriptor_pb2.FileDescriptorSet(file=[describe()])
    (tmp_path / "shop.binpb").write_bytes(described.SerializeToString())
    (tmp_path / "garbage").write_bytes(b"syntax = 3")
    with grpc_server(reflects=False, has_health=False) as server:
        with pytest.raises(StepNotSent, match=r"has no server reflection: .* give the step 'descriptors'"):
            await cancel(server.url, "7")
        with pytest.raises(StepFailed, match="has no health service"):
            await ask(server.url)
        assert server.calls == []
        assert (await cancel(server.url, "7", descriptors="shop.binpb"))["code"] == "OK"
        for name, sentence in {"no": "cannot be read", "garbage": "is not a descriptor set"}.items():
            with pytest.raises(StepImpossible, match=sentence):
                Grpc().check(build(**CANCEL, descriptors=name), Platform(server.url))
        settings.GRPC_DESCRIPTOR_DIR = None
        with pytest.raises(StepImpossible, match="GRPC_DESCRIPTOR_DIR is empty"):
            await cancel(server.url, "7", descriptors="shop.binpb")


async def test_closed_port_refuses(closed_port: int) -> None:
    platform = Platform(f"grpc://127.0.0.1:{closed_port}")
    with pytest.raises(StepNotSent, match=r"refused the connection$"):
        await Grpc().probe(build(), platform)
    with pytest.raises(StepFailed, match=r"refused the connection$"):
        await Grpc().reach(build(), platform)


@pytest.mark.parametrize("words", [{}, {"tls": True}])
async def test_server_of_another_kind_is_recognised(serve: Serve, words: dict[str, Any]) -> None:
    url = (await serve(answering_http)).replace("http", "grpc")
    with pytest.raises(StepFailed, match=r"did not answer by gRPC|did not answer"):
        await ask(url, **{**words, "timeout": "5s"})


async def answering_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


def test_probe_by_call_counts_as_an_action() -> None:
    assert acts_when_probed(Grpc(), CANCEL)
    assert not acts_when_probed(Grpc(), {"health": "shop"})


async def test_health_check_is_no_action() -> None:
    with pytest.raises(StepImpossible, match="changes nothing"):
        await Grpc().act(build(), Platform())


async def test_missing_extra_has_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "find_spec", lambda _name: None)
    assert Grpc().libraries == ()
    with pytest.raises(StepImpossible, match=r"install the extra, 'test-coordinator\[grpc\]'"):
        Grpc().check(build(), Platform("grpc://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"call": "Cancel"}, "is not a method"),
        ({**CANCEL, "health": "x"}, "cannot be combined"),
        ({"message": {}}, "belongs to 'call'"),
        ({**CANCEL, "descriptors": "../shop.binpb"}, "is not the name of a file"),
        ({"metadata": {"Authorization": "x"}}, "is not a name of metadata"),
        ({"metadata": {"x": "a\nb"}}, "printable ASCII"),
        ({"url": "grpc://host"}, "has no port"),
    ],
)
def test_step_that_makes_no_sense_is_refused(words: dict[str, Any], sentence: str) -> None:
    place = {} if "url" in words else {"service": "shop"}
    with pytest.raises(ValidationError, match=sentence):
        GrpcArguments.model_validate({**place, **words})
