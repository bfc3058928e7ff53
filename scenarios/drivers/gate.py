"""The one way in which drivers connect: resolve once, ask the run's gate, connect to those very addresses.

A name that was resolved again after the question might lead elsewhere by then.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

from scenarios.ports import Connection, GatedPlatform, Intent, Platform

AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


async def admit(
    host: str, port: int, platform: Platform | None, *, reads: bool = False, was_sent: bool = False
) -> list[AddressInfo]:
    """What the host is resolved to, once the run is known to be allowed to connect there.

    Raises:
        OSError: the name cannot be resolved.
        UnicodeError: it is no name.
        StepFailed: the run may not connect; see GatedPlatform.
    """
    bare = host.removeprefix("[").removesuffix("]")
    found = await asyncio.get_running_loop().getaddrinfo(bare, port, type=socket.SOCK_STREAM)
    if isinstance(platform, GatedPlatform):
        addresses = tuple(dict.fromkeys((str(one[4][0]), port) for one in found))
        await platform.admit(Connection(bare, addresses), reads=reads, was_sent=was_sent)
    return found


async def connect(addresses: Sequence[AddressInfo]) -> None:
    """Connect to the first of the addresses that answers, and hang up without a word.

    Raises:
        OSError: none answers; of the last.
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
    """The words of the step whose values hold a secret."""
    return platform.secret_arguments if isinstance(platform, GatedPlatform) else frozenset()


def is_undo(platform: Platform | None) -> bool:
    return isinstance(platform, GatedPlatform) and platform.intent is Intent.UNDO


def build_pinned_resolver() -> Any:
    """A resolver for aiohttp that answers with what was `found` and admitted, whatever it is asked for."""
    from aiohttp.abc import AbstractResolver, ResolveResult  # noqa: PLC0415 - slow, and not for every process

    class PinnedResolver(AbstractResolver):
        found: Sequence[AddressInfo] = ()

        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            del family
            flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            return [
                ResolveResult(
                    hostname=host, host=str(one[4][0]), port=port, family=one[0], proto=one[2], flags=flags
                )
                for one in self.found
            ]

        async def close(self) -> None:
            pass

    return PinnedResolver()
