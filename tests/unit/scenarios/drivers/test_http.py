"""The http driver against servers that answer well, badly, endlessly, and not at all."""

import asyncio
import json
import time
from typing import Any

import pytest
from pydantic import ValidationError

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.drivers.http import Http
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.drivers.http_exchange import MAX_BODY_BYTES

from .conftest import Platform, Respond, Serve


def asked(**words: Any) -> HttpArguments:
    return HttpArguments.model_validate({"service": "exchange", "timeout": "5s", **words})


def answering(raw: bytes) -> Respond:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()

    return respond


def with_body(body: bytes, *headers: str, status: str = "200 OK") -> Respond:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers))
    return answering(head.encode("latin-1") + b"\r\n" + body)


async def test_response_has_status_headers_body_json_and_time(serve: Serve) -> None:
    platform = Platform(await serve(with_body(b'{"a": [1]}', "X-One: 1", "X-One: 2")))
    answer = await Http().probe(asked(path="/health"), platform)
    assert (answer["status"], answer["body"], answer["json"]) == (200, '{"a": [1]}', {"a": [1]})
    assert answer["headers"]["X-One"] == "1, 2"
    assert 0 < answer["elapsed"] < 600


async def test_a_request_carries_method_query_headers_and_json(serve: Serve) -> None:
    seen: list[bytes] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n") + await reader.readuntil(b"}"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    words = {"method": "post", "path": "/a?x=1", "query": {"q": ["ü", 2], "b": True}, "headers": {"X-N": 5}}
    answer = await Http().act(asked(json={"side": "buy"}, **words), Platform(await serve(respond)))
    assert answer["status"] == 204
    assert "json" not in answer
    request = seen[0].decode()
    assert request.startswith("POST /a?x=1&q=%C3%BC&q=2&b=true HTTP/1.1\r\n")
    assert "X-N: 5\r\n" in request
    assert "Content-Type: application/json\r\n" in request
    assert json.loads(request.partition("\r\n\r\n")[2]) == {"side": "buy"}


async def test_refused_connection_means_the_step_was_not_sent(closed_port: int) -> None:
    platform = Platform(f"http://127.0.0.1:{closed_port}")
    with pytest.raises(StepNotSent) as failure:
        await Http().probe(asked(), platform)
    assert str(failure.value) == f"exchange at http://127.0.0.1:{closed_port} refused the connection"


async def test_unresolved_name_means_the_step_was_not_sent() -> None:
    arguments = HttpArguments.model_validate({"url": "http://user:secret@no-such-host.invalid/"})
    with pytest.raises(StepNotSent, match=r"cannot be resolved: 'no-such-host\.invalid'") as failure:
        await Http().probe(arguments, Platform())
    assert "secret" not in str(failure.value)


async def test_unknown_service_makes_the_step_impossible() -> None:
    with pytest.raises(StepImpossible, match="'nobody'"):
        await Http().probe(asked(service="nobody"), Platform())


@pytest.mark.parametrize("status", ["400 Bad Request", "503 Unavailable"])
async def test_probe_accepts_any_status(serve: Serve, status: str) -> None:
    platform = Platform(await serve(with_body(b"no", status=status)))
    assert (await Http().probe(asked(), platform))["status"] == int(status[:3])


GARBAGE = {
    "no HTTP": (b"\x00\xff\x00 hello\r\n\r\n", "not HTTP"),
    "a bad status": (b"HTTP/1.1 abc OK\r\n\r\n", "not HTTP"),
    "a bad header": (b"HTTP/1.1 200 OK\r\n: \x00\r\n\r\n", "not HTTP"),
    "an endless header": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "not HTTP"),
    "nothing at all": (b"", "closed the connection without a response"),
    "half a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "in the middle of its response"),
    "a bad chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", "exchange at"),
    "a bad encoding": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        "exchange at",
    ),
}


@pytest.mark.parametrize(("raw", "words"), GARBAGE.values(), ids=GARBAGE)
async def test_garbage_response_fails_with_a_sentence(serve: Serve, raw: bytes, words: str) -> None:
    with pytest.raises(StepFailed, match="exchange at http://127") as failure:
        await Http().probe(asked(), Platform(await serve(answering(raw))))
    assert words in str(failure.value)
    assert not isinstance(failure.value, StepNotSent)


@pytest.mark.parametrize("charset", ["utf-8", "no-such", "hex", "utf-16", "idna", "undefined"])
async def test_body_in_an_unknown_encoding_is_read_as_utf8(serve: Serve, charset: str) -> None:
    platform = Platform(
        await serve(with_body(b"\xff\xfea\x00\xff", f"Content-Type: text/plain; charset={charset}"))
    )
    assert isinstance((await Http().probe(asked(), platform))["body"], str)


@pytest.mark.parametrize("body", [b"NaN", b"[" * 100_000, b"{", b""])
async def test_body_that_is_not_json_has_no_json_field(serve: Serve, body: bytes) -> None:
    assert "json" not in await Http().probe(asked(), Platform(await serve(with_body(body))))


async def test_byte_order_mark_before_json_is_ignored(serve: Serve) -> None:
    platform = Platform(await serve(with_body(b'\xef\xbb\xbf{"a": 1}')))
    assert (await Http().probe(asked(), platform))["json"] == {"a": 1}


async def test_body_of_10_megabytes_is_cut_with_a_note(serve: Serve) -> None:
    answer = await Http().probe(asked(), Platform(await serve(with_body(b"1" * 10_000_000))))
    assert len(answer["body"]) == MAX_BODY_BYTES
    assert "cut" in answer["note"]
    assert "json" not in answer


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


@pytest.mark.parametrize("respond", [silence, drip])
async def test_response_that_never_ends_fails_at_the_timeout(serve: Serve, respond: Respond) -> None:
    with pytest.raises(StepFailed, match="did not answer within 100ms") as failure:
        await Http().probe(asked(timeout="100ms"), Platform(await serve(respond)))
    assert not isinstance(failure.value, StepNotSent)


async def test_endless_response_is_cut(serve: Serve) -> None:
    answer = await Http().probe(asked(), Platform(await serve(flood)))
    assert len(answer["body"]) == MAX_BODY_BYTES


@pytest.mark.parametrize("respond", [silence, drip])
async def test_stop_cancels_a_request_at_once(serve: Serve, respond: Respond) -> None:
    connected = asyncio.Event()

    async def noticed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await respond(reader, writer)

    step = asyncio.create_task(Http().act(asked(), Platform(await serve(noticed))))
    await connected.wait()
    started = time.perf_counter()
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert time.perf_counter() - started < 25  # the request itself may take 30 s


async def test_redirects_are_followed_only_on_request(serve: Serve) -> None:
    goal = await serve(with_body(b"here"))
    platform = Platform(await serve(with_body(b"", f"Location: {goal}/", status="302 Found")))
    assert (await Http().probe(asked(), platform))["status"] == 302
    assert (await Http().probe(asked(follow_redirects=True), platform))["body"] == "here"


@pytest.mark.parametrize("goal", ["file:///etc/passwd", "http://[", "http://a:b:c/", "http:///nowhere"])
async def test_redirect_to_an_invalid_address_fails_after_the_request_was_sent(
    serve: Serve, goal: str
) -> None:
    platform = Platform(await serve(with_body(b"", f"Location: {goal}", status="302 Found")))
    with pytest.raises(StepFailed) as failure:
        await Http().act(asked(follow_redirects=True), platform)
    assert not isinstance(failure.value, StepNotSent)
    assert "which is not a web address" in str(failure.value)


@pytest.mark.usefixtures("proxied")
async def test_proxies_in_the_environment_and_cookies_are_ignored(serve: Serve) -> None:
    requests: list[bytes] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    platform = Platform(await serve(respond))
    for _ in range(2):
        await Http().probe(asked(), platform)
    assert len(requests) == 2
    assert not [request for request in requests if b"cookie" in request.lower()]


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


@pytest.mark.parametrize(
    "words",
    [
        {"url": "ftp://x/"},
        {"url": "http://"},
        {"url": "http://x:99999/"},
        {"service": "s", "path": "health"},
        {"service": "s", "method": "GET /"},
        {"service": "s", "headers": {"X": "a\r\nY: b"}},
        {"service": "s", "headers": {"X Y": "a"}},
        {"service": "s", "query": {"a": None}},
        {"service": "s", "json": 1, "body": "x"},
        {"service": "s", "url": "http://x/"},
        {"path": "/"},
    ],
)
def test_invalid_arguments_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpArguments.model_validate(words)
