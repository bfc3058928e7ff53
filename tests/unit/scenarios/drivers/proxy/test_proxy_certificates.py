"""What the driver says of a fault proxy that does not trust its upstream."""

import asyncio
import re
from pathlib import Path

import pytest

from injector.configuration import ClientTls, Listener, ServerTls, Settings
from injector.proxy import Proxy
from injector.relay import Relay
from injector.tokens import Tokens
from scenarios.domain.errors import StepImpossible
from tests.servers.certificates import Authority
from tests.unit.injector.conftest import echo
from tests.unit.scenarios.drivers.proxy.conftest import DRIVER, TOKEN, OneProxy, arguments


async def connect(relay: Relay) -> bytes:
    """What comes back over a connection; nothing if it is reset."""
    reader, writer = await asyncio.open_connection(*relay.address)
    try:
        writer.write(b"hello")
        return await reader.read(5)
    except OSError:
        return b""
    finally:
        writer.close()


async def test_no_fault_is_injected_while_the_upstream_has_an_expired_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    shown = ServerTls(str(authority.issue("shop", "shop.pem", begins=-9, expires=-2)))
    context = shown.build()
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    upstream = server.sockets[0].getsockname()[:2]
    trusted = ClientTls(ca=str(authority.path), server_name="shop")
    listener = Listener(("127.0.0.1", 0), upstream, upstream_tls=trusted)
    proxy = Proxy(Settings((listener,), ("127.0.0.1", 0)), Tokens([TOKEN]))
    await proxy.start()
    ((name, relay),) = proxy.relays.items()
    platform = OneProxy(control="http://{}:{}".format(*proxy.control_address), listener=name)
    await DRIVER.choose_target(arguments(), platform)
    assert await connect(relay) == b""
    assert (relay.counts.failed, relay.counts.distrusted) == (1, 1)
    sentence = (
        f"the certificate of the upstream 127.0.0.1:{upstream[1]} is not trusted: certificate has expired"
    )
    with pytest.raises(StepImpossible, match=re.escape(sentence)):
        await DRIVER.choose_target(arguments(), platform)
    authority.issue("shop", "shop.pem")
    shown.load(context)
    assert await connect(relay) == b"hello"
    assert (await DRIVER.choose_target(arguments(), platform))["listener"] == name
    proxy.stop()
    server.close()
