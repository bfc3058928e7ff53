"""A fault proxy that runs in a thread of the test's process."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from injector.program import Proxy, Settings


@dataclass(frozen=True)
class RunningProxy:
    control: str
    listeners: tuple[str, ...]


@contextmanager
def running_proxy(token: str, *, listeners: int = 1) -> Iterator[RunningProxy]:
    """A proxy whose listeners lead to port 9 of this machine."""
    loop = asyncio.new_event_loop()
    places = tuple((("127.0.0.1", 0), ("127.0.0.1", 9)) for _ in range(listeners))
    proxy = Proxy(Settings(places, ("127.0.0.1", 0), token))

    async def stop() -> None:
        proxy.stop()

    loop.run_until_complete(proxy.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield RunningProxy("http://{}:{}".format(*proxy.control_address), tuple(proxy.relays))
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
