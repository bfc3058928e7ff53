"""How drivers connect: resolve the name once, ask the run's gate, and connect to exactly these addresses.

If the name were resolved again after asking, it could lead to another place.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from injector.lookups import AddressInfo, look_up
from scenarios.domain.errors import StepNotSent
from scenarios.ports import Connection, GatedPlatform, Intent, ListedPlatform, Platform

__all__ = [
    "AddressInfo",
    "admit",
    "admit_url",
    "build_pinned_resolver",
    "connect",
    "get_secret_arguments",
    "is_undo",
]
_PORTS = {"http": 80, "https": 443}


async def admit(
    host: str, port: int, platform: Platform | None, *, reads: bool = False, was_sent: bool = False
) -> list[AddressInfo]:
    """Resolve the host, and check that the run may connect to its addresses.

    Raises:
        OSError: the name cannot be resolved.
        UnicodeError: the text is not a host name.
        StepFailed: the run may not connect; see GatedPlatform.
    """
    bare = host.removeprefix("[").removesuffix("]")
    found = await look_up(bare, port)
    if isinstance(platform, GatedPlatform):
        addresses = tuple(dict.fromkeys((str(info[4][0]), port) for info in found))
        await platform.admit(Connection(bare, addresses), reads=reads, was_sent=was_sent)
    return found


async def admit_url(url: str, platform: Platform | None) -> None:
    """Check that the site allows the network of a server that its settings name, as a container engine.

    Raises:
        StepImpossible: it does not.
        StepNotSent: the name of the host cannot be resolved.
    """
    place = urlsplit(url)
    if not isinstance(platform, ListedPlatform) or place.hostname is None:
        return
    port = place.port or _PORTS.get(place.scheme, 0)
    try:
        found = await look_up(place.hostname, port)
    except (OSError, UnicodeError) as error:
        raise StepNotSent(f"the host name {place.hostname!r} cannot be resolved") from error
    addresses = tuple(dict.fromkeys((str(info[4][0]), port) for info in found))
    await platform.admit_network(Connection(place.hostname, addresses))


async def connect(addresses: Sequence[AddressInfo]) -> None:
    """Connect to the first address that accepts a connection, and close it without sending anything.

    Raises:
        OSError: no address accepts a connection; the error of the last one.
    """
    failure: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        with socket.socket(family, kind, protocol) as connection:
            connection.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(connection, address)
            except OSError as error:
                failure = error
            else:
                return
    if failure is not None:
        raise failure


def get_secret_arguments(platform: Platform | None) -> frozenset[str]:
    """The arguments of the step that contain a secret."""
    return platform.secret_arguments if isinstance(platform, GatedPlatform) else frozenset()


def is_undo(platform: Platform | None) -> bool:
    return isinstance(platform, GatedPlatform) and platform.intent is Intent.UNDO


def build_pinned_resolver() -> Any:
    """Build a resolver for aiohttp that always returns the addresses in `found`, which were admitted."""
    from aiohttp.abc import AbstractResolver, ResolveResult  # noqa: PLC0415 - slow, and not every process needs it

    class PinnedResolver(AbstractResolver):
        found: Sequence[AddressInfo] = ()

        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            del family
            flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            return [
                ResolveResult(
                    hostname=host, host=str(info[4][0]), port=port, family=info[0], proto=info[2], flags=flags
                )
                for info in self.found
            ]

        async def close(self) -> None:
            pass

    return PinnedResolver()
