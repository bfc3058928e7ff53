"""Encrypts the connection of a gRPC channel.

grpcio's own encryption cannot accept any certificate, or an expired one, and does not say what is wrong with
a certificate. So the channel connects to a Unix socket of this process, which passes its bytes on.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepNotSent
from scenarios.domain.tls_contexts import explain_refusal
from scenarios.drivers.gate import AddressInfo
from scenarios.drivers.servers import Server

_CHUNK_BYTES = 64 * 1024
# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
PROTOCOL = "h2"


@asynccontextmanager
async def encrypt(
    server: Server, addresses: Iterable[AddressInfo], context: ssl.SSLContext, seconds: float
) -> AsyncIterator[str]:
    """The path of a Unix socket, whose first connection is passed on to one of the addresses.

    Raises:
        StepNotSent: no encrypted connection could be made.
    """
    upstream, writer_up = await _connect(server, addresses, context, seconds)
    tasks: set[asyncio.Task[Any]] = set()
    writers = {writer_up}

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay.close()
        writers.add(writer)
        for copy in (_copy(reader, writer_up), _copy(upstream, writer)):
            tasks.add(asyncio.create_task(copy))

    try:
        # Nobody else may open the folder.
        with TemporaryDirectory(prefix="grpc-") as folder:
            path = f"{folder}/socket"
            relay = await asyncio.start_unix_server(pass_on, path)
            try:
                yield path
            finally:
                relay.close()
    finally:
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*tasks)  # they read the end now


async def _connect(
    server: Server, addresses: Iterable[AddressInfo], context: ssl.SSLContext, seconds: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reason = "cannot be reached"
    try:
        async with asyncio.timeout(seconds):
            for info in addresses:
                try:
                    return await asyncio.open_connection(
                        str(info[4][0]), server.port, ssl=context, server_hostname=server.host
                    )
                except OSError as error:
                    reason = explain_refusal(error) or f"cannot be reached: {error.strerror or error}"
    except TimeoutError:
        reason = f"did not answer within {format_duration(seconds)}"
    raise StepNotSent(f"{server.name} {reason}")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side closes: then the other is closed, too."""
    try:
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # the channel notices it like any lost connection
    finally:
        writer.transport.abort()
