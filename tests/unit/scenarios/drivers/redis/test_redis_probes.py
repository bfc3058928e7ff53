"""What probes of the redis driver read, from a real server, and its errors."""

import asyncio
from typing import Any

import pytest

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone, StepNotSent
from scenarios.drivers.redis import Redis, RedisArguments
from tests.servers.loopback import free_port
from tests.servers.redis_server import Redis as Server
from tests.servers.redis_server import redis_server
from tests.unit.scenarios.drivers.conftest import Platform, Respond, Serve
from tests.unit.scenarios.drivers.redis.conftest import ODD_PASSWORD, WRITES, build_fault

pytestmark = pytest.mark.redis


async def ask(url: str, *command: Any, **words: Any) -> Any:
    given = {"command": list(command)} if command else {}
    arguments = RedisArguments.model_validate({"service": "exchange", "timeout": "120s", **given, **words})
    return (await Redis().probe(arguments, Platform(url)))["value"]


async def test_probe_returns_what_the_server_answers(server: Server) -> None:
    assert await ask(server.url) == "PONG"
    assert await ask(server.url, "GET", "stock") == "7"
    assert await ask(server.url, "lrange", "queue", 0, -1) == ["a", "b"]
    assert await ask(server.url, "LLEN", "queue") == 2
    assert await ask(server.url, "GET", "nothing") is None
    assert "redis_version" in await ask(server.url, "INFO", "server")


async def test_number_in_the_url_chooses_the_database(server: Server) -> None:
    assert await ask(server.url.removesuffix("/0") + "/1", "GET", "stock") is None


@pytest.mark.parametrize(
    "command",
    [["SET", "stock", 1], ["DEL", "stock"], ["EVAL", "return 1", 0], ["FLUSHALL"], ["CLIENT", "LIST"]],
)
async def test_command_that_may_change_something_is_refused(server: Server, command: list[Any]) -> None:
    with pytest.raises(StepImpossible, match="may change something"):
        await ask(server.url, *command)
    assert await ask(server.url, "GET", "stock") == "7"


async def test_unknown_command_is_impossible(server: Server) -> None:
    with pytest.raises(StepImpossible, match="does not know the command 'GTE'"):
        await ask(server.url, "GTE", "stock")


async def test_refusal_of_the_server_is_quoted(server: Server) -> None:
    with pytest.raises(StepNotDone, match=r"exchange at redis://.* answered: .*WRONGTYPE"):
        await ask(server.url, "LLEN", "stock")


async def test_user_and_password_may_contain_any_character(server: Server) -> None:
    assert await ask(server.url, "GET", "stock", user="chaos", password=ODD_PASSWORD) == "7"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"user": "chaos", "password": "wrong"}, "refused the user or its password"),
        ({"password": "needless"}, "has no password: leave out 'password'"),
    ],
)
async def test_refused_login_has_a_sentence(server: Server, words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(StepNotSent, match=rf"exchange at redis://.* {sentence}"):
        await ask(server.url, **words)


async def test_server_without_tls_gives_no_answer(server: Server) -> None:
    with pytest.raises(StepFailed, match=r"did not answer within 100ms; does it expect TLS\?"):
        await ask(server.url, tls=True, timeout="100ms")


async def test_missing_permission_has_a_sentence(server: Server) -> None:
    with pytest.raises(StepNotDone, match="does not let this user do that"):
        await ask(server.url, "GET", "stock", user="nobody", password="none")


async def test_server_with_a_password_asks_for_it(tmp_path: Any) -> None:
    with redis_server(tmp_path, "--requirepass", ODD_PASSWORD) as guarded:
        with pytest.raises(StepNotDone, match="asks for a password"):
            await ask(guarded.url)
        assert await ask(guarded.url, password=ODD_PASSWORD) == "PONG"
        words = {"service": "exchange", "password": ODD_PASSWORD, "timeout": "120s", **WRITES}
        fault = build_fault(guarded.url, words)
        await fault.inject()
        assert await fault.is_present()
        assert await fault.remove() is True


async def test_node_of_a_cluster_without_the_key_is_explained(tmp_path: Any) -> None:
    # By default its port for other nodes is 10000 higher, and may be no port at all.
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with redis_server(tmp_path, *options) as node:
        with pytest.raises(StepNotDone, match="is a node of a cluster that is not complete"):
            await ask(node.url, "GET", "stock")
        fault = build_fault(node.url, WRITES)
        await fault.inject()
        assert await fault.is_present()
        await fault.renew()
        assert await fault.remove() is True


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"-MOVED 3999 127.0.0.1:6381\r\n", "name the node that has it"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "it loads its data"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "closed the connection: "),
        (b"", "closed the connection: "),
    ],
)
async def test_answers_of_other_servers_are_explained(serve: Serve, answer: bytes, sentence: str) -> None:
    with pytest.raises(StepFailed, match=sentence):
        await ask((await serve(answering(answer))).replace("http", "redis"))


async def test_closed_port_refuses(closed_port: int) -> None:
    with pytest.raises(StepNotSent, match=r"refused the connection$"):
        await ask(f"redis://127.0.0.1:{closed_port}")
    with pytest.raises(StepFailed, match=r"refused the connection$"):
        await build_fault(f"redis://127.0.0.1:{closed_port}", WRITES).inject()


async def test_action_is_impossible() -> None:
    arguments = RedisArguments.model_validate({"service": "exchange"})
    with pytest.raises(StepImpossible, match="only reads"):
        await Redis().act(arguments, Platform())


def answering(answer: bytes) -> Respond:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        await writer.drain()

    return respond
