"""Who gets the token of a fault proxy, and who does not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from injector.configuration import Listener, ServerTls, Settings
from injector.proxy import Proxy
from injector.tokens import Tokens
from scenarios.domain.errors import StepImpossible, StepNotDone
from tests.servers.certificates import Authority
from tests.unit.scenarios.drivers.conftest import Serve
from tests.unit.scenarios.drivers.proxy.conftest import DRIVER, TOKEN, OneProxy, arguments, call


async def test_token_is_asked_for_at_each_call(platform: OneProxy) -> None:
    fault = await call(platform)
    platform.token = "changed"
    with pytest.raises(StepNotDone, match="does not accept the token"):
        await DRIVER.inject(arguments(), platform, fault)
    platform.token = TOKEN
    await DRIVER.inject(arguments(), platform, fault)


class Thief:
    """A server that a service names as its proxy. It says what it is told to, and keeps all it gets."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.got = b""

    async def respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.got += await reader.readuntil(b"\r\n\r\n")
        body = self.answers[min(self.got.count(b"HTTP/1.1\r\n"), len(self.answers)) - 1]
        status = b"200 OK" if b"nonce" in body else b"401 Unauthorized"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()


@pytest.mark.parametrize(
    "answer", [b"{}", b'{"nonce": "n"}', b'{"nonce": 5}', b'{"error": "Bearer, please"}']
)
async def test_token_is_never_sent_to_what_a_service_names_as_its_proxy(
    platform: OneProxy, serve: Serve, answer: bytes
) -> None:
    thief = Thief(answer, b"{}")
    platform.control = await serve(thief.respond)
    with pytest.raises(StepImpossible):
        await DRIVER.choose_target(arguments(), platform)
    assert thief.got.startswith(b"GET /challenge")
    assert TOKEN.encode() not in thief.got


async def test_only_proxies_that_the_settings_name_are_asked(
    platform: OneProxy, serve: Serve, settings: Any
) -> None:
    thief = Thief(b"{}")
    settings.FAULT_PROXIES = (platform.control.upper().replace("HTTP:", "http:").rstrip("/"), "https://[::1]")
    await DRIVER.choose_target(arguments(), platform)
    platform.control = await serve(thief.respond)
    with pytest.raises(StepImpossible, match="is not one of FAULT_PROXIES, which names http://127"):
        await DRIVER.choose_target(arguments(), platform)
    assert thief.got == b""


async def test_earlier_proxy_gets_the_token_if_the_settings_name_it(
    platform: OneProxy, serve: Serve, settings: Any
) -> None:
    earlier = Thief(b"{}")
    platform.control = await serve(earlier.respond)
    with pytest.raises(StepImpossible, match="an earlier version needs the token itself; update it, or name"):
        await DRIVER.choose_target(arguments(), platform)
    settings.FAULT_PROXIES = (platform.control,)
    with pytest.raises(StepImpossible, match="does not accept the token"):
        await DRIVER.choose_target(arguments(), platform)
    assert b"Authorization: Bearer open-sesame\r\n" in earlier.got


async def test_proxy_whose_certificate_is_not_trusted_gets_nothing(tmp_path: Path) -> None:
    certificate = Authority(tmp_path).issue("proxy", "control.pem")
    listener = Listener(("127.0.0.1", 0), ("127.0.0.1", 1))
    settings = Settings((listener,), ("127.0.0.1", 0), ServerTls(str(certificate)))
    proxy = Proxy(settings, Tokens([TOKEN]))
    await proxy.start()
    with pytest.raises(StepImpossible, match="has a certificate that is not trusted"):
        await DRIVER.choose_target(arguments(), OneProxy(control=proxy.control_url))
    proxy.stop()
