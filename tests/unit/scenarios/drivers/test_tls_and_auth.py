"""`tls` and `auth` of steps, against servers with certificates of an authority of the test."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.domain.tls_contexts import explain_refusal
from scenarios.drivers.grpc import Grpc, GrpcArguments
from scenarios.drivers.http import Http
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.drivers.prometheus import Prometheus, PrometheusArguments
from tests.servers.certificates import Authority
from tests.servers.grpc_server import grpc_server
from tests.servers.loopback import wait_for
from tests.unit.scenarios.load.sent_loads import OK, Server, say, serving

from .conftest import Platform

NOBODY = "has a certificate that is not trusted: .*(issuer|self.signed)"
CALL = {"call": "shop.v1.Orders/Cancel", "message": {"orderId": "metadata"}}


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CERTIFICATE_DIR with two authorities, and certificates of the first for localhost."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "elsewhere").mkdir()
    ours, other = Authority(folder), Authority(folder / "elsewhere")
    (folder / "other.pem").write_bytes(other.path.read_bytes())
    ours.issue("localhost", "server.pem")
    ours.issue("localhost", "expired.pem", begins=-2, expires=-1)
    ours.issue("tester", "client.pem")
    (folder / "stranger.pem").write_bytes(other.issue("tester", "stranger.pem").read_bytes())
    for file in folder.glob("*.pem"):
        file.chmod(0o600)
    return folder


@pytest.fixture(autouse=True)
def folder(issued: Path, settings: Settings) -> Path:
    settings.CERTIFICATE_DIR = issued
    return issued


@asynccontextmanager
async def secured(folder: Path, certificate: str, *, asks: bool = False) -> AsyncIterator[Server]:
    """A web server with this certificate; one that `asks` requires a certificate of the client."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "authority.pem")
    context.load_cert_chain(folder / certificate)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
    async with serving(lambda _request, writer: say(OK, writer), context) as server:
        yield server


async def ask(server: Server, host: str = "localhost", **words: Any) -> int:
    arguments = HttpArguments.model_validate({"service": "exchange", "timeout": "300s", **words})
    answer = await Http().probe(arguments, Platform(f"https://{host}:{server.port}"))
    return int(answer["status"])


REFUSED = {
    "the system's authorities": ("server.pem", "localhost", {}, NOBODY),
    "another authority": ("server.pem", "localhost", {"ca": "other.pem"}, NOBODY),
    "another name": ("server.pem", "127.0.0.1", {"ca": "authority.pem"}, "not valid for '127.0.0.1'"),
    "an expired certificate": (
        "expired.pem",
        "localhost",
        {"ca": "authority.pem"},
        "certificate has expired",
    ),
}


@pytest.mark.parametrize(("certificate", "host", "tls", "reason"), REFUSED.values(), ids=REFUSED)
async def test_server_without_a_trusted_certificate_gets_no_request(
    folder: Path, certificate: str, host: str, tls: dict[str, Any], reason: str
) -> None:
    async with secured(folder, certificate) as server:
        with pytest.raises(StepNotSent, match=reason):
            await ask(server, host, tls=tls)
        assert server.requests == []


@pytest.mark.parametrize(
    ("certificate", "host", "tls"),
    [
        ("server.pem", "localhost", {"ca": "authority.pem"}),
        ("expired.pem", "127.0.0.1", {"verify": False}),
    ],
)
async def test_tls_of_the_step_decides_which_certificate_is_trusted(
    folder: Path, certificate: str, host: str, tls: dict[str, Any]
) -> None:
    async with secured(folder, certificate) as server:
        assert await ask(server, host, tls=tls) == 200
        with pytest.raises(StepNotSent):  # another step still has the default
            await ask(server, host)


async def test_client_certificate_is_shown_to_a_server_that_asks_for_one(folder: Path) -> None:
    async with secured(folder, "server.pem", asks=True) as server:
        assert await ask(server, tls={"ca": "authority.pem", "certificate": "client.pem"}) == 200
        for tls in ({"ca": "authority.pem"}, {"ca": "authority.pem", "certificate": "stranger.pem"}):
            with pytest.raises(StepFailed):
                await ask(server, tls=tls)
        assert len(server.requests) == 1


def test_an_alert_of_the_server_says_what_it_wants() -> None:
    error = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required")
    error.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert explain_refusal(error) == (
        "refused the encrypted connection, certificate required: name one with 'tls: {certificate: NAME}'"
    )
    assert explain_refusal(OSError("reset")) == ""


def _open_to_others(folder: Path) -> str:
    (folder / "open.pem").write_bytes((folder / "client.pem").read_bytes())
    (folder / "open.pem").chmod(0o644)
    return "open.pem"


def _without_key(folder: Path) -> str:
    (folder / "alone.pem").write_bytes((folder / "authority.pem").read_bytes())
    return "alone.pem"


UNUSABLE: dict[str, tuple[Callable[[Path], str], str]] = {
    "a key that others may read": (_open_to_others, "others may read its key: run 'chmod 600 open.pem'"),
    "no key": (_without_key, "must be a PEM file with a certificate and its key"),
    "no file": (lambda _folder: "nothing.pem", "'nothing.pem' in CERTIFICATE_DIR cannot be used: No such"),
    "a folder": (lambda _folder: "elsewhere", "it is not a file"),
}


@pytest.mark.parametrize(("make", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_file_that_cannot_be_used_is_found_before_anything_is_sent(
    folder: Path, make: Callable[[Path], str], reason: str
) -> None:
    words = {"service": "exchange", "tls": {"certificate": make(folder)}}
    with pytest.raises(StepImpossible, match=reason):
        Http().check(HttpArguments.model_validate(words), Platform())
    with pytest.raises(StepImpossible, match=reason):
        Grpc().check(GrpcArguments.model_validate(words), Platform("grpc://127.0.0.1:1"))
    asked = {"query": "up", "server": "https://127.0.0.1:1", "tls": words["tls"]}
    with pytest.raises(StepImpossible, match=reason):
        Prometheus().check(PrometheusArguments.model_validate(asked), Platform())


def test_text_that_is_no_certificate_is_no_authority(folder: Path) -> None:
    (folder / "text.pem").write_text("not a certificate")
    words = {"service": "exchange", "tls": {"ca": "text.pem"}}
    with pytest.raises(StepImpossible, match="not a PEM file with certificates of authorities"):
        Http().check(HttpArguments.model_validate(words), Platform())


def test_a_site_without_a_folder_allows_no_files(settings: Settings) -> None:
    settings.CERTIFICATE_DIR = None
    words = {"service": "exchange", "tls": {"ca": "authority.pem"}}
    with pytest.raises(StepImpossible, match="is not allowed on this site: CERTIFICATE_DIR"):
        Http().check(HttpArguments.model_validate(words), Platform())


@pytest.mark.parametrize("name", ["../server.pem", "/etc/passwd", ".hidden", "a/b.pem", ""])
def test_a_name_cannot_lead_out_of_the_folder(name: str) -> None:
    with pytest.raises(ValidationError, match="is not the name of a file in CERTIFICATE_DIR"):
        HttpArguments.model_validate({"service": "exchange", "tls": {"ca": name}})


def test_a_file_that_is_replaced_is_read_again(folder: Path) -> None:
    words = HttpArguments.model_validate({"service": "exchange", "tls": {"ca": "renewed.pem"}})
    (folder / "renewed.pem").write_bytes((folder / "authority.pem").read_bytes())
    Http().check(words, Platform())
    (folder / "renewed.pem").write_text("not a certificate")
    with pytest.raises(StepImpossible, match="renewed"):
        Http().check(words, Platform())


# `auth`

AUTHORIZATIONS = [
    ({"basic": {"user": "tester", "password": "p:ä"}}, "Basic dGVzdGVyOnA6w6Q="),
    ({"bearer": "a.b"}, "Bearer a.b"),
]


@pytest.mark.parametrize(("auth", "header"), AUTHORIZATIONS)
async def test_auth_is_sent_by_http_prometheus_and_grpc(auth: dict[str, Any], header: str) -> None:
    async with serving(lambda _request, writer: say(OK, writer)) as server:
        url = f"http://127.0.0.1:{server.port}"
        await Http().probe(HttpArguments.model_validate({"service": "exchange", "auth": auth}), Platform(url))
        with pytest.raises(StepFailed):  # it is no Prometheus
            await Prometheus().probe(
                PrometheusArguments.model_validate({"query": "up", "server": url, "auth": auth}), Platform()
            )
        assert [f"\r\nAuthorization: {header}\r\n".encode() in request for request in server.requests] == [
            True,
            True,
        ]
    with grpc_server() as called:
        arguments = GrpcArguments.model_validate(
            {"service": "exchange", "timeout": "300s", "auth": auth, **CALL}
        )
        assert (await Grpc().probe(arguments, Platform(called.url)))["json"]["orderId"] == header


async def test_auth_of_a_step_wins_over_the_address_of_its_service() -> None:
    async with serving(lambda _request, writer: say(OK, writer)) as server:
        arguments = HttpArguments.model_validate({"service": "exchange", "auth": {"bearer": "a.b"}})
        await Http().probe(arguments, Platform(f"http://ann:pw@127.0.0.1:{server.port}"))
        assert b"\r\nAuthorization: Bearer a.b\r\n" in server.requests[0]


@pytest.mark.parametrize("secret", ["a\nb", "a\rb", "a\x00b"])
async def test_secret_that_would_begin_another_header_is_not_sent(secret: str) -> None:
    async with serving(lambda _request, writer: say(OK, writer)) as server:
        arguments = HttpArguments.model_validate({"service": "exchange", "auth": {"bearer": secret}})
        with pytest.raises(StepImpossible, match="line break or another control character") as failure:
            await Http().probe(arguments, Platform(f"http://127.0.0.1:{server.port}"))
        assert secret not in str(failure.value)
        assert server.requests == []


async def test_prometheus_trusts_the_authority_that_the_step_names(folder: Path) -> None:
    body = b'{"status":"success","data":{"resultType":"scalar","result":[0,"5"]}}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    async with serving(lambda _request, writer: say(answer, writer), context) as server:
        words: dict[str, Any] = {"query": "5", "server": f"https://localhost:{server.port}"}
        with pytest.raises(StepNotSent, match=NOBODY):
            await Prometheus().probe(PrometheusArguments.model_validate(words), Platform())
        words["tls"] = {"ca": "authority.pem"}
        assert (await Prometheus().probe(PrometheusArguments.model_validate(words), Platform()))["value"] == 5


# gRPC


@pytest.fixture(scope="module")
def called(issued: Path) -> Iterator[Any]:
    with grpc_server(certificate=issued / "expired.pem") as server:
        yield server


async def check_health(port: int, tls: Any, **words: Any) -> dict[str, Any]:
    arguments = GrpcArguments.model_validate({"service": "exchange", "timeout": "300s", "tls": tls, **words})
    return dict(await Grpc().probe(arguments, Platform(f"grpc://localhost:{port}")))


async def test_grpc_trusts_the_authority_that_the_step_names(folder: Path) -> None:
    with grpc_server(certificate=folder / "server.pem") as server:
        assert (await check_health(server.port, {"ca": "authority.pem"}))["health"] == "SERVING"
        found = await check_health(server.port, {"ca": "authority.pem"}, auth={"bearer": "a"}, **CALL)
        assert found["json"]["orderId"] == "Bearer a"
        with pytest.raises(StepNotSent, match=NOBODY):
            await check_health(server.port, {"ca": "other.pem"})


async def test_grpc_without_verification_takes_an_expired_certificate(called: Any) -> None:
    assert (await check_health(called.port, {"verify": False}))["health"] == "SERVING"
    with pytest.raises(StepNotSent, match="certificate has expired"):
        await check_health(called.port, {"ca": "authority.pem"})


async def test_cancelled_grpc_step_leaves_no_task_behind(folder: Path) -> None:
    before = asyncio.all_tasks()
    with grpc_server(certificate=folder / "server.pem") as server:
        words = {"call": "shop.v1.Orders/Cancel", "message": {"orderId": "hang"}}
        step = asyncio.create_task(check_health(server.port, {"ca": "authority.pem"}, **words))
        await asyncio.to_thread(wait_for, lambda: "hang" in server.calls, what="it is called")
        step.cancel()
        with pytest.raises(asyncio.CancelledError):
            await step
        assert asyncio.all_tasks() == before
