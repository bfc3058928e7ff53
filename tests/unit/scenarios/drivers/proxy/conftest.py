"""A fault proxy that really listens, and a platform that knows it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from injector.configuration import Listener, Settings
from injector.proxy import Proxy
from injector.tokens import Tokens
from scenarios.drivers.proxy import Proxy as ProxyDriver
from scenarios.drivers.proxy_arguments import ProxyArguments
from scenarios.ports import FaultCall
from scenarios.ports import Proxy as ProxyOfService
from tests.unit.scenarios.drivers.conftest import Platform

TOKEN = "open-sesame"
DRIVER = ProxyDriver()


@dataclass
class OneProxy(Platform):
    control: str = ""
    listener: str = ""
    token: str = TOKEN
    asked: list[str] = field(default_factory=list)

    def proxy_of(self, service: str) -> ProxyOfService:
        self.asked.append(service)
        return ProxyOfService(self.control, self.listener, self.token)


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    listener = Listener(("127.0.0.1", 0), ("127.0.0.1", 1))
    proxy = Proxy(Settings((listener,), ("127.0.0.1", 0)), Tokens([TOKEN]))
    await proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def platform(proxy: Proxy) -> OneProxy:
    return OneProxy(control="http://{}:{}/".format(*proxy.control_address), listener=next(iter(proxy.relays)))


def arguments(**words: Any) -> ProxyArguments:
    return ProxyArguments.model_validate({"service": "exchange", **(words or {"latency": "300ms"})})


async def call(platform: OneProxy, fault_id: str = "f1", lease: float = 60, **words: Any) -> FaultCall:
    return FaultCall(fault_id, lease, await DRIVER.choose_target(arguments(**words), platform))
