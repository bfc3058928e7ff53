"""Deletions that may take longer than a request: the watchdog carries them out, and they can be withdrawn."""

from http import HTTPStatus

from coordinator_client.asynchronous.transport import AsyncTransport
from coordinator_client.errors import NotFoundError
from coordinator_client.parsing import parse
from coordinator_client.records import Deletion


async def delete_resource(transport: AsyncTransport, path: str) -> Deletion | None:
    """None if it is deleted, or how far the watchdog is."""
    response = await transport.request("DELETE", path)
    if response.status != HTTPStatus.ACCEPTED:
        return None
    try:
        return await get_deletion(transport, path)
    except NotFoundError:  # it is over
        return None


async def get_deletion(transport: AsyncTransport, path: str) -> Deletion:
    return parse(Deletion, await transport.json("GET", f"{path}/deletion"))


async def withdraw_deletion(transport: AsyncTransport, path: str) -> Deletion:
    return parse(Deletion, await transport.json("DELETE", f"{path}/deletion"))
