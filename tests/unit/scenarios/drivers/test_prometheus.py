"""The prometheus driver, against a real server if installed, and against garbage responses."""

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from pydantic import ValidationError
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.drivers.prometheus import Prometheus, PrometheusArguments

from .conftest import Platform, Respond, Serve


async def ask(query: str, **words: Any) -> dict[str, Any]:
    arguments = PrometheusArguments.model_validate({"query": query, **words})
    return dict(await Prometheus().probe(arguments, Platform()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus that scrapes nothing."""
    binary = shutil.which("prometheus")
    assert binary is not None, "Prometheus is not installed: apt-get install prometheus"
    folder: Path = tmp_path_factory.mktemp("prometheus")
    (folder / "prometheus.yml").write_text("{}\n")
    words = [binary, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
    with subprocess.Popen(
        [*words, "--web.listen-address=127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        address = address_once_ready(process.stderr)
        drain = threading.Thread(target=process.stderr.read)
        drain.start()
        yield f"http://{address}"
        process.terminate()
        drain.join()


def address_once_ready(log: IO[str]) -> str:
    """The two lines come in either order."""
    address, is_ready = "", False
    for line in log:
        if "Listening on" in line:
            address = line.partition("address=")[2].strip()
        is_ready = is_ready or "Server is ready" in line
        if address and is_ready:
            return address
    raise AssertionError("Prometheus has ended")


@pytest.mark.prometheus
@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("scalar(vector(1.5))", 1.5),
        ("1 + 1", 2),
        ("vector(3)", 3),
        ('"text"', "text"),
        ("0 / 0", "NaN"),
        ("1 / 0", "+Inf"),
    ],
)
async def test_value_is_the_scalar_or_the_only_sample(server: str, query: str, value: Any) -> None:
    seen = await ask(query, server=server)
    assert (seen["value"], seen["values"]) == (value, [value])


@pytest.mark.prometheus
async def test_vector_of_several_samples_has_no_value(server: str) -> None:
    labelled = 'label_replace(vector({}), "side", "{}", "", "")'
    seen = await ask(f"{labelled.format(1, 'buy')} or {labelled.format(2, 'sell')}", server=server)
    assert "value" not in seen
    assert sorted(seen["values"]) == [1, 2]
    assert {"metric": {"side": "buy"}, "value": 1.0} in seen["samples"]


@pytest.mark.prometheus
async def test_an_empty_vector_has_no_value(server: str) -> None:
    assert await ask("no_such_metric", server=server) == {"values": [], "samples": []}


@pytest.mark.prometheus
async def test_invalid_query_makes_the_step_impossible(server: str) -> None:
    with pytest.raises(StepImpossible, match=r"rejected the query: .*parse error"):
        await ask("sum(", server=server)


@pytest.mark.prometheus
async def test_range_query_makes_the_step_impossible_with_a_hint(server: str) -> None:
    with pytest.raises(StepImpossible, match="reduce it to a number"):
        await ask("up[5m]", server=server)


@pytest.mark.prometheus
async def test_configured_server_is_the_default(server: str, settings: Settings) -> None:
    settings.PROMETHEUS_URL = f"{server}/"
    assert (await ask("1"))["value"] == 1


async def test_step_without_any_server_is_impossible(settings: Settings) -> None:
    settings.PROMETHEUS_URL = ""
    with pytest.raises(StepImpossible, match="set PROMETHEUS_URL"):
        await ask("up")


async def test_error_for_an_unreachable_server_hides_its_password(closed_port: int) -> None:
    with pytest.raises(StepNotSent, match=f"Prometheus at http://127.0.0.1:{closed_port} refused") as refusal:
        await ask("up", server=f"http://user:hidden@127.0.0.1:{closed_port}")
    assert "hidden" not in str(refusal.value)


def answering(status: str, body: str) -> Respond:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()

    return respond


def result(kind: str, found: Any) -> str:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": found}})


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        ("200 OK", "<html>", "without the result of a query"),
        ("200 OK", "[]", "without the result of a query"),
        ("200 OK", '{"status": "success"}', "without the result of a query"),
        ("502 Bad Gateway", "no upstream", "answered 502"),
        ("503 No", '{"status": "error", "error": "query timed out"}', "answered 503: query timed out"),
        ("200 OK", result("vector", [{"metric": {}}]), "cannot be read"),
        ("200 OK", result("vector", None), "cannot be read"),
        ("200 OK", result("scalar", ["x", "y"]), "cannot be read"),
        ("200 OK", result("streams", []), "returned 'streams', not a vector"),
        ("200 OK", "x" * 2_000_000, "reduce the result"),
    ],
)
async def test_garbage_response_fails_with_a_sentence(
    serve: Serve, status: str, body: str, words: str
) -> None:
    with pytest.raises(StepFailed, match=words):
        await ask("up", server=await serve(answering(status, body)))


async def test_native_histograms_make_the_step_impossible_with_a_hint(serve: Serve) -> None:
    found = [{"metric": {}, "histogram": [1, {"count": "5", "sum": "3", "buckets": []}]}]
    with pytest.raises(StepImpossible, match="native histograms: reduce them to numbers"):
        await ask("up", server=await serve(answering("200 OK", result("vector", found))))


async def test_warnings_of_a_partial_response_are_noted(serve: Serve) -> None:
    partial = {**json.loads(result("vector", [])), "warnings": ["store a is away", "store b is away"]}
    fields = await ask("up", server=await serve(answering("200 OK", json.dumps(partial))))
    assert fields["values"] == []
    assert fields["note"] == "Prometheus warns: store a is away; store b is away"


@pytest.mark.parametrize("words", [{}, {"query": ""}, {"query": "up", "server": "127.0.0.1:9090"}])
def test_invalid_arguments_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PrometheusArguments.model_validate(words)
