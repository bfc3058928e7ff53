"""Engines that are away, slow, or none; and the words, settings and holds of faults of containers."""

import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pydantic import ValidationError

from coordinator_site.container_settings import container_engines, container_patterns
from injector.host.arguments import Refusal
from injector.host.engine import Engine, explain_os_error, open_unix
from scenarios.checks import check_container_engines
from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.drivers import container_engines as engines
from scenarios.drivers.container import Container
from scenarios.drivers.container_arguments import ContainerArguments, ContainerFaultArguments
from scenarios.drivers.container_selection import find_selected, is_allowed, list_addresses
from tests.unit.scenarios.drivers.conftest import Platform, Respond

DRIVER = Container()
PLATFORM = Platform()
PAUSE = {"name": "shop-1", "pause": True}
Serve = Callable[[Respond], Any]


@pytest.fixture
def folder() -> Iterator[Path]:
    # The path of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="engines-") as text:
        yield Path(text)


@pytest.fixture
async def answering(folder: Path, settings: Any) -> AsyncIterator[Serve]:
    """An engine that treats each connection so."""
    settings.CONTAINER_ENGINES = {"local": f"unix://{folder / 'socket'}"}
    settings.ALLOWED_CONTAINERS = ("*",)
    async with AsyncExitStack() as stack:

        async def serve(respond: Respond) -> None:
            async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    await respond(reader, writer)
                except ConnectionError:
                    pass  # the client has gone away
                finally:
                    writer.transport.abort()

            server = await asyncio.start_unix_server(handle, folder / "socket")
            stack.callback(server.close)

        yield serve


def answer(status: str, body: str) -> Respond:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(f"{head}{body}".encode())
        await writer.drain()

    return respond


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        ("500 Internal Server Error", '{"message": "no space left"}', "answered 500: no space left"),
        ("503 Service Unavailable", "busy", "answered 503: busy"),
        ("200 OK", "<html>", "answered what is not JSON"),
        ("200 OK", "[" * 100_000, "answered what is not JSON"),
        ("200 OK", '{"a": 1}', "does not list containers as an engine does"),
        ("200 OK", "[1, null]", "does not list containers as an engine does"),
        ("banana", "", "broke the connection, or does not speak HTTP"),
    ],
)
async def test_invalid_engine_response_is_explained_in_a_sentence(
    answering: Serve, status: str, body: str, sentence: str
) -> None:
    await answering(answer(status, body))
    for words in (PAUSE, {"where": {"role": "shop"}, "pause": True}):
        given = ContainerFaultArguments.model_validate(words)
        with pytest.raises(StepFailed, match=f"engine 'local' .*{sentence}"):
            await DRIVER.choose_target(given, PLATFORM)
    with pytest.raises(StepFailed, match=sentence):
        await DRIVER.probe(ContainerArguments.model_validate({"name": "shop-1"}), PLATFORM)


async def test_text_that_answers_a_change_is_no_error(answering: Serve) -> None:
    """As Podman answers where a container is taken from a network."""
    await answering(answer("200 OK", "OK"))
    path = engines.find_engine(None).socket
    done = await engines.call(lambda: Engine("local", open_unix(path)).ask("POST", "/"))
    assert (done.status, done.content) == (200, None)


async def test_an_answer_that_ends_too_early_is_no_answer(answering: Serve) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]")
        await writer.drain()
        writer.write_eof()

    await answering(respond)
    path = engines.find_engine(None).socket
    with pytest.raises(StepFailed, match="broke the connection 7 bytes before the end of its answer"):
        await engines.call(lambda: Engine("local", open_unix(path)).get("/"))


async def test_an_engine_that_trickles_is_given_up(answering: Serve) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    await answering(trickle)
    path = engines.find_engine(None).socket
    with pytest.raises(StepFailed, match=r"gave no (whole )?answer within 0.3 s"):
        await engines.call(lambda: Engine("local", open_unix(path)).ask("GET", "/", seconds=0.3))


def test_a_connection_that_nobody_accepts_is_given_up(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen()
        began = time.monotonic()
        with pytest.raises(Refusal, match=r"gave no answer within 0\.2 s"):
            Engine("local", open_unix(str(folder / "socket"))).ask("GET", "/", seconds=0.2)
        assert time.monotonic() - began < 60


async def test_an_engine_that_is_away_changes_nothing(folder: Path, settings: Any) -> None:
    settings.CONTAINER_ENGINES = {"local": f"unix://{folder / 'nothing'}"}
    settings.ALLOWED_CONTAINERS = ("*",)
    given = ContainerFaultArguments.model_validate(PAUSE)
    with pytest.raises(
        StepNotSent, match="cannot be reached: there is no such socket; is the engine running"
    ):
        await DRIVER.choose_target(given, PLATFORM)
    assert "add it to the socket's group" in explain_os_error(PermissionError())
    settings.CONTAINER_ENGINES = {"far": "tcp://127.0.0.1:1"}
    with pytest.raises(StepImpossible, match="needs TLS: set CONTAINER_TLS_DIR"):
        await DRIVER.choose_target(given, PLATFORM)
    settings.CONTAINER_TLS_DIR = folder
    with pytest.raises(StepImpossible, match=r"ca.pem, cert.pem, key.pem missing in"):
        await DRIVER.choose_target(given, PLATFORM)
    given = ContainerFaultArguments.model_validate({"name": "a", "dns": {"answer": "nxdomain"}})
    with pytest.raises(StepImpossible, match="'dns' needs the engine's own machine"):
        await DRIVER.choose_target(given, PLATFORM)
    assert not DRIVER.is_leased(PAUSE)


def test_an_engine_over_tcp_without_its_files_is_found_at_the_start(settings: Any, tmp_path: Path) -> None:
    settings.CONTAINER_ENGINES = {"far": "tcp://127.0.0.1:1", "local": "unix:///run/nothing"}
    settings.CONTAINER_TLS_DIR = tmp_path
    (error,) = check_container_engines()
    assert error.id == "scenarios.E004"
    assert "engine 'far' needs TLS: ca.pem, cert.pem, key.pem missing" in error.msg
    (tmp_path / "far").mkdir()
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / "far" / name).touch()
    assert check_container_engines() == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"pause": True}, "the step has no container: give 'name', 'where' or 'image'"),
        ({"name": "a"}, "the fault has no kind"),
        ({"name": "a", "pause": True, "kill": True}, "cannot be combined: write a fault for each"),
        ({"name": "a", "where": {"b": "c"}, "pause": True}, "'where' and 'name' cannot be combined"),
        ({"name": "a", "pick": 1, "pause": True}, "'pick' needs 'where' or 'image'"),
        ({"name": "a", "grace": "1s", "pause": True}, "only 'stop' and 'restart' have it"),
        ({"name": "a", "pause": False}, "Input should be True"),
        ({"name": "a", "limits": {}}, "give 'cpus' or 'memory'"),
        ({"name": "${secret:A}", "pause": True}, "'name' has a secret"),
        ({"name": "${saved.a}", "pause": True}, "'name' has a saved value"),
        ({"where": {}, "pause": True}, "at least 1 item"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ContainerFaultArguments.model_validate(words)


def test_containers_are_found_by_name_labels_and_image() -> None:
    listed: list[dict[str, Any]] = [
        {"Id": "1", "Names": ["/front/db", "/shop-db"], "Image": "registry:5000/db:16", "Labels": {"a": "b"}},
        {"Id": "2", "Names": ["/shop-1"], "Image": "shop", "Labels": None},
    ]

    def find(**words: Any) -> list[str]:
        return [one["Id"] for one in find_selected(ContainerArguments.model_validate(words), listed)]

    assert find(name="shop-db") == ["1"]
    assert find(name="shop") == []
    assert find(where={"a": "b"}) == find(image="registry:5000/db") == find(image="*/db:1*") == ["1"]
    assert find(where={"a": "b"}, image="shop") == []


def test_addresses_are_the_containers_own_and_its_published_ports() -> None:
    ports = {
        "80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
        "90/tcp": None,
        "70/tcp": [{"HostIp": "10.0.0.5", "HostPort": "70"}],
    }
    networks = {"a": {"IPAddress": "10.1.1.2", "GlobalIPv6Address": ""}, "b": {"IPAddress": ""}}
    state = {"NetworkSettings": {"Ports": ports, "Networks": networks}}
    found = list_addresses(state, "127.0.0.1")
    assert found == [("10.1.1.2", 0), ("127.0.0.1", 8080), ("10.0.0.5", 70)]
    assert list_addresses({}, "127.0.0.1") == []


def test_what_may_be_broken_is_named_by_pattern_or_label(settings: Any) -> None:
    settings.ALLOWED_CONTAINERS = ("shop-*", "com.docker.compose.project=shop", "team=a*")
    assert is_allowed("shop-1", {})
    assert is_allowed("x", {"com.docker.compose.project": "shop"})
    assert is_allowed("x", {"team": "abc"})
    assert not is_allowed("x", {"team": "b", "com.docker.compose.project": "shop2"})
    settings.ALLOWED_CONTAINERS = ()
    assert not is_allowed("shop-1", {})


def test_settings_of_engines_are_checked() -> None:
    urls = ["local=unix:///var/run/docker.sock", "far=tcp://10.0.0.5:2376"]
    assert container_engines("CONTAINER_ENGINES", urls) == dict(url.split("=", 1) for url in urls)
    for wrong in ("unix:///a", "A=unix:///a", "a=unix://a/b", "a=tcp://b", "a=http://b:1", "a=tcp://[b:1"):
        with pytest.raises(ImproperlyConfigured, match="give each engine once"):
            container_engines("CONTAINER_ENGINES", [wrong])
    with pytest.raises(ImproperlyConfigured, match="give each engine once"):
        container_engines("CONTAINER_ENGINES", [urls[0], urls[0]])
    assert container_patterns("ALLOWED_CONTAINERS", ["shop-*", "a.b=c d"]) == ("shop-*", "a.b=c d")
    for wrong in ("shop 1", "", "=a"):
        with pytest.raises(ImproperlyConfigured, match="ALLOWED_CONTAINERS contains"):
            container_patterns("ALLOWED_CONTAINERS", [wrong])
