"""The redis driver, against a real server: what probes read, and pauses that the server ends by itself."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis as redis_client
from pydantic import ValidationError

from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone, StepNotSent
from scenarios.drivers.redis import Redis, RedisArguments, RedisFaultArguments
from scenarios.ports import FaultCall
from tests.servers.loopback import free_port, wait_for
from tests.servers.redis_server import Redis as Server
from tests.servers.redis_server import redis_server

from .conftest import Platform, Respond, Serve

pytestmark = pytest.mark.redis
ODD_PASSWORD = "p'a s=@:/%41#?"
# The commands that docs/server-faults.md lists.
PAUSING = ("+ping", "+pfcount", "+client|pause", "+client|unpause", "+client|setname", "+client|list")
LONG = 120.0
WRITES, ALL = {"pause": "writes"}, {"pause": "all"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with redis_server(tmp_path_factory.mktemp("redis")) as found:
        with client(found.url) as own:
            own.set("stock", 7)
            own.rpush("queue", "a", "b")
            own.execute_command("ACL", "SETUSER", "chaos", "on", f">{ODD_PASSWORD}", "~*", "+@all")
            own.execute_command("ACL", "SETUSER", "pauser", "on", ">less", "~*", "-@all", *PAUSING)
            own.execute_command("ACL", "SETUSER", "nobody", "on", ">none", "~*", "-@all", "+ping")
        yield found


@pytest.fixture(autouse=True)
def unpaused(server: Server) -> None:
    """A pause that another test left to its lease may last on a busy machine."""
    with client(server.url) as own:
        own.client_unpause()


def client(url: str) -> redis_client.Redis:
    return redis_client.Redis.from_url(url, socket_timeout=300)


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
        fault = Fault(guarded.url, words)
        await fault.inject()
        assert await fault.is_present()
        assert await fault.remove() is True


async def test_node_of_a_cluster_without_the_key_is_explained(tmp_path: Any) -> None:
    # By default its port for other nodes is 10000 higher, and may be no port at all.
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with redis_server(tmp_path, *options) as node:
        with pytest.raises(StepNotDone, match="is a node of a cluster that is not complete"):
            await ask(node.url, "GET", "stock")
        fault = Fault(node.url, WRITES)
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


def answering(answer: bytes) -> Respond:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        await writer.drain()

    return respond


async def test_old_server_cannot_be_paused(serve: Serve) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refusal = b"-ERR Unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.\r\n"
        while request := await reader.read(1000):
            known = {b"PING": b"+PONG\r\n", b"PFCOUNT": b":0\r\n", b"SETNAME": b"+OK\r\n", b"PAUSE": refusal}
            writer.write(next(answer for word, answer in known.items() if word in request))

    for words in (WRITES, ALL):
        with pytest.raises(StepNotDone, match=r"is too old: .* needs Redis 6\.2"):
            await Fault((await serve(respond)).replace("http", "redis"), words).inject()


async def test_closed_port_refuses(closed_port: int) -> None:
    with pytest.raises(StepNotSent, match=r"refused the connection$"):
        await ask(f"redis://127.0.0.1:{closed_port}")
    with pytest.raises(StepFailed, match=r"refused the connection$"):
        await Fault(f"redis://127.0.0.1:{closed_port}", WRITES).inject()


class Fault:
    """One fault, in this process."""

    def __init__(self, url: str, words: dict[str, Any], name: str = "f-1", lease: float = LONG) -> None:
        self.driver = Redis()
        self.platform = Platform(url)
        given = {"service": "exchange", "timeout": "120s", **words}
        self.arguments = RedisFaultArguments.model_validate(given)
        self.call = FaultCall(name, lease, {"url": url})

    async def inject(self) -> dict[str, Any]:
        target = await self.driver.choose_target(self.arguments, self.platform)
        self.call = FaultCall(self.call.id, self.call.lease, target)
        return dict(await self.driver.inject(self.arguments, self.platform, self.call))

    async def renew(self) -> None:
        await self.driver.renew(self.arguments, self.platform, self.call)

    async def remove(self) -> bool:
        return await self.driver.remove(self.arguments, self.platform, self.call)

    async def is_present(self) -> bool:
        return await self.driver.is_present(self.arguments, self.platform, self.call)


@pytest.fixture
async def inject(server: Server) -> AsyncIterator[Any]:
    """Injects faults, which end with the test."""
    faults: list[Fault] = []

    async def begin(words: dict[str, Any], name: str = "f-1", lease: float = LONG) -> Fault:
        fault = Fault(server.url, words, name, lease)
        faults.append(fault)
        await fault.inject()
        return fault

    yield begin
    for fault in faults:
        await fault.remove()


async def until(condition: Callable[[], bool], *, what: str) -> None:
    await asyncio.to_thread(wait_for, condition, what=what)


async def test_writes_are_paused_until_the_fault_is_removed(inject: Any, server: Server) -> None:
    fault = await inject(WRITES)
    assert await fault.is_present()
    await fault.inject()  # again: nothing more
    await fault.renew()
    with client(server.url) as own:
        assert own.get("stock") == b"7"
        write = asyncio.create_task(asyncio.to_thread(own.set, "stock", 7))
        await asyncio.sleep(0.1)
        assert not write.done()
        assert await fault.remove() is True
        assert await write
    assert not await fault.is_present()
    assert await fault.remove() is False  # and an unknown fault is no failure


async def test_documented_permissions_are_enough(inject: Any) -> None:
    fault = await inject({**WRITES, "user": "pauser", "password": "less"})
    await fault.renew()
    assert await fault.remove() is True


async def test_everything_is_paused_until_the_fault_is_removed(inject: Any, server: Server) -> None:
    fault = await inject(ALL)
    assert await fault.is_present()
    with client(server.url) as own:
        reads = [asyncio.create_task(asyncio.to_thread(own.get, "stock"))]
        begun = fault.driver._held["f-1"].row.begun
        # No other command gets its turn between two pauses of the row.
        await until(lambda: fault.driver._held["f-1"].row.begun > begun + 1, what="two more have begun")
        assert not any(read.done() for read in reads)
        await fault.renew()
        assert await fault.remove() is True
        assert await asyncio.gather(*reads) == [b"7"]
    assert not await fault.is_present()


async def test_row_of_pauses_never_outlasts_the_lease(inject: Any) -> None:
    fault = await inject(ALL, lease=15.0)
    row = fault.driver._held["f-1"].row
    await fault.renew()
    assert 10 < (row.sent - row.begun + 1) * row.slice_seconds <= 15


@pytest.mark.parametrize("words", [WRITES, ALL])
async def test_server_ends_a_pause_that_is_not_renewed(
    inject: Any, server: Server, words: dict[str, Any]
) -> None:
    fault = await inject(words, lease=2.0)
    with client(server.url) as own:
        assert await asyncio.to_thread(own.set, "stock", 7)  # waits for the end of the pause
    with pytest.raises(FaultGone, match="is not paused any more"):
        await fault.renew()


async def test_another_process_removes_the_pause_of_a_dead_one(inject: Any, server: Server) -> None:
    fault = await inject(WRITES)
    await fault.driver._held["f-1"].connection.disconnect()
    other = Fault("redis://127.0.0.1:1", WRITES)
    other.call = fault.call
    assert await other.is_present()
    assert await other.remove() is True
    assert not await fault.is_present()
    with pytest.raises(FaultGone, match="is not paused any more"):
        await fault.renew()


async def test_pause_outlasts_its_connection_and_is_renewed_by_a_new_one(inject: Any, server: Server) -> None:
    fault = await inject(WRITES)
    with client(server.url) as own:
        names = [one["id"] for one in own.client_list() if one["name"] == "test-coordinator:f-1"]
        assert own.client_kill_filter(_id=names[0]) == 1
    await fault.renew()
    assert await fault.is_present()
    with client(server.url) as own:
        assert [one["name"] for one in own.client_list()].count("test-coordinator:f-1") == 1


@pytest.mark.parametrize("words", [WRITES, ALL])
async def test_process_stopped_for_a_lease_pauses_no_more(inject: Any, words: dict[str, Any]) -> None:
    fault = await inject(words)
    target = fault.call.target
    fault.call = FaultCall("f-1", 0.5, target)
    await fault.renew()
    time.sleep(0.6)  # noqa: ASYNC251 - nothing of the process goes on meanwhile
    fault.call = FaultCall("f-1", 2 * LONG, target)
    with pytest.raises(FaultGone, match="the lease of the pause is over"):
        await fault.renew()


async def test_clients_that_do_nothing_hold_no_pause(inject: Any, server: Server) -> None:
    fault = await inject(WRITES)
    other = Fault(server.url, WRITES, lease=0.5)
    other.call = FaultCall("f-1", 0.5, fault.call.target)
    with redis_client.Redis.from_url(server.url, client_name="test-coordinator:stale") as stale:
        stale.ping()
        assert await fault.remove() is True  # its own pause, in any case
        await fault.inject()
        with client(server.url) as own:
            await until(lambda: find_idle(own, "stale") >= 1, what="the client has done nothing for a second")
        assert await other.is_present()
        assert await other.remove() is True


def find_idle(own: redis_client.Redis, name: str) -> int:
    return next(int(one["idle"]) for one in own.client_list() if one["name"] == f"test-coordinator:{name}")


async def test_second_pause_is_refused_and_its_removal_leaves_the_first(inject: Any, server: Server) -> None:
    first = await inject(WRITES)
    with pytest.raises(StepNotDone, match="is paused already, and a server has only one pause"):
        await inject({**ALL, "timeout": "1s"}, "f-2")
    second = Fault(server.url, WRITES, "f-2")
    assert await second.remove() is False
    assert not await second.is_present()
    assert await first.is_present()


@pytest.mark.parametrize("words", [WRITES, ALL])
async def test_restarted_server_is_not_paused(tmp_path: Any, words: dict[str, Any]) -> None:
    with redis_server(tmp_path) as own:
        fault = Fault(own.url, words)
        await fault.inject()
        os.kill(own.pid, signal.SIGKILL)
        own.stop()
        with pytest.raises(StepFailed):
            await fault.is_present()
        own.start()
        with pytest.raises(FaultGone):
            await fault.renew()
        await fault.remove()
        assert not await fault.is_present()


HOLDER = """
import asyncio, sys
import redis.asyncio  # before the lease begins
from scenarios.drivers.redis import Redis, RedisFaultArguments
from scenarios.ports import FaultCall

async def hold(url, mode):
    arguments = RedisFaultArguments.model_validate({"url": url, "pause": mode, "timeout": "120s"})
    call, driver = FaultCall("held", 2.0, {"url": url}), Redis()
    await driver.inject(arguments, None, call)
    print("injected", flush=True)
    while True:
        await asyncio.sleep(0.5)
        await driver.renew(arguments, None, call)

asyncio.run(hold(*sys.argv[1:]))
"""


@pytest.mark.parametrize(("mode", "way"), [("writes", signal.SIGKILL), ("all", signal.SIGSTOP)])
def test_pause_outlives_neither_the_death_nor_the_silence_of_its_process(
    server: Server, mode: str, way: signal.Signals
) -> None:
    words = [sys.executable, "-c", HOLDER, server.url, mode]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "injected\n"
        os.kill(process.pid, way)
        with client(server.url) as own:
            assert own.set("stock", 7)  # waits for the end of the pause
        process.kill()


async def test_clients_are_closed_once(inject: Any, server: Server) -> None:
    holder = await inject(WRITES, "holder")
    clients = [redis_client.Redis.from_url(server.url, client_name="shop", retry=None) for _ in range(4)]
    for one in clients:
        one.ping()
    fault = await inject({"kill_clients": {"name": "shop", "share": 0.5, "seed": 1}})
    assert await fault.inject() == {"closed": 2, "clients": 4}
    await fault.renew()
    assert not await fault.is_present()
    assert await fault.remove() is False
    await inject({"kill_clients": {}}, "f-2")
    with client(server.url) as own:
        names = [one["name"] for one in own.client_list()]
    assert "shop" not in names
    assert "test-coordinator:holder" in names
    await holder.remove()
    for one in clients:
        one.close()


async def test_no_such_client_is_no_fault(inject: Any) -> None:
    with pytest.raises(StepNotDone, match="has no such client of type 'replica'"):
        await inject({"kill_clients": {"type": "replica"}})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({}, "give one of 'pause', 'kill_clients'"),
        ({"pause": "writes", "kill_clients": {}}, "cannot be combined"),
        ({"pause": "reads"}, "'writes' or 'all'"),
        ({"pause": "all", "url": "redis://:hidden@host"}, "leave the user and the password out"),
    ],
)
def test_fault_that_makes_no_sense_is_refused(words: dict[str, Any], sentence: str) -> None:
    place = {} if "url" in words else {"service": "cache"}
    with pytest.raises(ValidationError, match=sentence):
        RedisFaultArguments.model_validate({**place, **words})


async def test_action_is_impossible() -> None:
    arguments = RedisArguments.model_validate({"service": "exchange"})
    with pytest.raises(StepImpossible, match="only reads"):
        await Redis().act(arguments, Platform())
