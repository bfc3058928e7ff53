"""A platform with one service, and loopback servers with any kind of bad response."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scenarios.domain.errors import StepImpossible
from scenarios.drivers.host_arguments import HostArguments
from scenarios.ports import Proxy, RegisteredHost
from tests.servers.ssh_server import SshServer, ssh_server
from tests.servers.target_host import sleeper

Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Respond], Awaitable[str]]


def child_processes() -> set[int]:
    """Of this process, dead ones that nobody has waited for included; servers of other tests among them."""
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in list_children(task)}


def list_children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except OSError:
        return []  # a thread that has just ended


@dataclass
class Platform:
    """One service, `exchange`."""

    address: str = "http://127.0.0.1:1"

    def address_of(self, service: str) -> str:
        if service != "exchange":
            raise StepImpossible(f"unknown service {service!r}; registered services: exchange")
        return self.address

    def proxy_of(self, service: str) -> Proxy:
        raise StepImpossible(f"the service {service!r} names no fault proxy")

    def hosts(self) -> Sequence[RegisteredHost]:
        return ()

    def secret(self, name: str) -> str:
        raise StepImpossible(f"there is no secret {name!r}")


@asynccontextmanager
async def _served(respond: Respond) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            await respond(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def build_host_arguments(**words: Any) -> HostArguments:
    """Of the host 'here', if no others are chosen."""
    return HostArguments.model_validate({"name": "here", **words} if "where" not in words else words)


@dataclass
class Hosts(Platform):
    registered: list[RegisteredHost] = field(default_factory=list)

    def hosts(self) -> Sequence[RegisteredHost]:
        return self.registered


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server that treats each connection so, and returns its URL."""
    async with AsyncExitStack() as stack:
        yield lambda respond: stack.enter_async_context(_served(respond))


@pytest.fixture
async def closed_port(serve: Serve) -> int:
    """A port on which nothing listens (any more)."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


@pytest.fixture
def pid_file(tmp_path: Path) -> Path:
    return tmp_path / "shop.pid"


@pytest.fixture
def shop(pid_file: Path) -> Iterator[int]:
    with sleeper(pid_file) as process:
        yield process.pid


@pytest.fixture
def pause(pid_file: Path) -> HostArguments:
    return build_host_arguments(pause={"pidfile": str(pid_file)})


@pytest.fixture(scope="module", name="ssh")
def ssh_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as found:
        yield found


@pytest.fixture
def there(ssh: SshServer, settings: Any, tmp_path: Path) -> Hosts:
    """Another host, by ssh: the program is streamed."""
    settings.SSH_KNOWN_HOSTS = ssh.known_hosts
    settings.SSH_KEYS = (ssh.key,)
    options = f"--state {tmp_path}/remote --allow-list {tmp_path}/none.json --allowed pause,kill"
    settings.HOST_PROGRAM_COMMAND = f"{sys.executable} - {options}"
    return Hosts(registered=[RegisteredHost("here", ssh.address, {"role": "shop"})])
