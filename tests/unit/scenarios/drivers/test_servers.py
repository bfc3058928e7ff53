"""What the drivers of servers have in common: the gate before each connection, and TLS."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.drivers.alert import Alert
from scenarios.drivers.grpc import Grpc
from scenarios.drivers.postgresql import Postgresql
from scenarios.drivers.redis import Redis
from scenarios.ports import Connection, FaultCall, GatedPlatform, Intent
from tests.servers.certificates import Authority
from tests.servers.grpc_server import grpc_server
from tests.servers.loopback import free_port
from tests.servers.redis_server import redis_server

from .conftest import Platform, Serve

PROBES: list[Any] = [
    (Postgresql, "postgres", {"query": "SELECT 1"}),
    (Redis, "redis", {}),
    (Grpc, "grpc", {}),
    (Grpc, "grpc", {"call": "shop.v1.Orders/Cancel"}),
    (Alert, "http", {"name": "ShopDown"}),
]
FAULTS: list[Any] = [
    (Postgresql, "postgres", {"lock": {"table": "orders"}}),
    (Postgresql, "postgres", {"terminate": {}}),
    (Postgresql, "postgres", {"exhaust": {"leave": 1}}),
    (Redis, "redis", {"pause": "writes"}),
    (Redis, "redis", {"pause": "all"}),
    (Redis, "redis", {"kill_clients": {}}),
]


@dataclass
class Closed(Platform):
    """Its gate lets nobody through, and notes who asked."""

    intent: Intent = Intent.ACT
    secret_arguments: frozenset[str] = frozenset()
    asked: list[bool] = field(default_factory=list)

    async def admit(self, connection: Connection, *, reads: bool = False, was_sent: bool = False) -> None:
        self.asked.append(reads)
        raise StepImpossible("the gate is closed")


@dataclass
class Open(Closed):
    async def admit(self, connection: Connection, *, reads: bool = False, was_sent: bool = False) -> None:
        self.asked.append(reads)


@pytest.fixture
async def connections(serve: Serve) -> tuple[str, list[int]]:
    """The address of a server, and a list with an entry for each connection to it."""
    made: list[int] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.append(1)

    return (await serve(note)).removeprefix("http://"), made


@pytest.mark.parametrize(("driver", "scheme", "words"), PROBES)
async def test_probe_connects_only_where_the_gate_lets_it(
    connections: tuple[str, list[int]], driver: Any, scheme: str, words: dict[str, Any]
) -> None:
    address, made = connections
    platform = Closed(f"{scheme}://{address}")
    assert isinstance(platform, GatedPlatform)
    arguments = driver.Arguments.model_validate({"service": "exchange", **words})
    for method in (driver().probe, driver().reach):
        with pytest.raises(StepFailed, match="the gate is closed"):
            await method(arguments, platform)
    assert (len(platform.asked), made) == (2, [])


@pytest.mark.parametrize(("driver", "scheme", "words"), FAULTS)
async def test_fault_connects_only_where_the_gate_lets_it(
    connections: tuple[str, list[int]], driver: Any, scheme: str, words: dict[str, Any]
) -> None:
    address, made = connections
    platform = Closed(f"{scheme}://{address}")
    arguments = driver.FaultArguments.model_validate({"service": "exchange", **words})
    call = FaultCall("f-1", 15.0, {"url": platform.address})
    with pytest.raises(StepImpossible, match="the gate is closed"):
        await driver().inject(arguments, platform, call)
    with pytest.raises(StepFailed, match="the gate is closed"):
        await driver().choose_target(arguments, platform)
    if not {"terminate", "kill_clients"} & words.keys():  # of which nothing lasts
        platform.asked.clear()
        with pytest.raises(StepImpossible, match="the gate is closed"):
            await driver().is_present(arguments, platform, call)
        assert platform.asked == [True]
        with pytest.raises(StepImpossible, match="the gate is closed"):
            await driver().remove(arguments, platform, call)
    assert made == []


@pytest.mark.parametrize(("driver", "scheme", "words"), FAULTS)
async def test_target_does_not_show_a_url_that_may_be_secret(
    connections: tuple[str, list[int]], driver: Any, scheme: str, words: dict[str, Any]
) -> None:
    address, _ = connections
    arguments = driver.FaultArguments.model_validate({"url": f"{scheme}://{address}/7", **words})
    target = await driver().choose_target(arguments, Open())
    assert target.keys() == {"label"}
    assert target["label"].endswith(" at the address of the step")
    assert "7" not in target["label"]
    with pytest.raises(StepImpossible, match="the gate is closed"):  # it finds the place again
        await driver().inject(arguments, Closed(), FaultCall("f-1", 15.0, target))


@pytest.mark.parametrize(("driver", "kind"), [(Postgresql, "terminate"), (Redis, "kill_clients")])
def test_share_is_a_number_or_a_percentage(driver: Any, kind: str) -> None:
    for share in (0.2, "20%"):
        words = {"service": "exchange", kind: {"share": share}}
        assert getattr(driver.FaultArguments.model_validate(words), kind).share == 0.2
    for share in (0, 1.5, "120%", "20"):
        with pytest.raises(ValidationError):
            driver.FaultArguments.model_validate({"service": "exchange", kind: {"share": share}})


@pytest.mark.parametrize(
    ("words", "secret"),
    [
        ({"lock": {"table": "hush"}}, "lock"),
        ({"lock": {"table": "orders"}, "database": "hush"}, "database"),
        ({"terminate": {"database": "hush"}}, "terminate"),
    ],
)
async def test_label_does_not_show_a_secret_name(
    connections: tuple[str, list[int]], words: dict[str, Any], secret: str
) -> None:
    address = f"postgres://{connections[0]}"
    arguments = Postgresql.FaultArguments.model_validate({"service": "exchange", **words})
    for secrets, is_shown in ((frozenset[str](), True), (frozenset({secret}), False)):
        platform = Open(address, secret_arguments=secrets)
        target = await Postgresql().choose_target(arguments, platform)
        assert target["url"] == address
        assert ("hush" in target["label"]) is is_shown


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For localhost, by an authority that this process trusts."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    return authority.issue("localhost", "localhost.pem")


@pytest.mark.redis
async def test_redis_by_tls_must_have_a_certificate_of_its_name(certificate: Path, tmp_path: Path) -> None:
    port = free_port()
    files = [f"--tls-{option}-file" for option in ("cert", "key", "ca-cert")]
    options = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    with redis_server(tmp_path, *options, *(part for option in files for part in (option, str(certificate)))):
        arguments = Redis.Arguments.model_validate({"service": "exchange", "tls": True, "timeout": "120s"})
        seen = await Redis().probe(arguments, Platform(f"redis://localhost:{port}"))
        assert seen["value"] == "PONG"
        with pytest.raises(StepNotSent, match=r"has a certificate that is not trusted: .*127"):
            await Redis().probe(arguments, Platform(f"redis://127.0.0.1:{port}"))


async def test_grpc_by_tls_must_have_a_certificate_of_its_name(certificate: Path) -> None:
    arguments = Grpc.Arguments.model_validate({"service": "exchange", "tls": True, "timeout": "120s"})
    with grpc_server(certificate=certificate) as server:
        seen = await Grpc().probe(arguments, Platform(f"grpc://localhost:{server.port}"))
        assert seen["health"] == "SERVING"
        with pytest.raises(StepNotSent, match="has a certificate that is not trusted"):
            await Grpc().probe(arguments, Platform(f"grpc://127.0.0.1:{server.port}"))
