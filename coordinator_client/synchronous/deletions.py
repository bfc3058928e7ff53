# Made from asynchronous/deletions.py by write_synchronous.py: change that instead.
"""Deletions that may take longer than a request: the watchdog carries them out, and they can be withdrawn."""

from http import HTTPStatus

from coordinator_client.synchronous.transport import Transport
from coordinator_client.errors import NotFoundError
from coordinator_client.parsing import parse
from coordinator_client.records import Deletion


def delete_resource(transport: Transport, path: str) -> Deletion | None:
    """None if it is deleted, or how far the watchdog is."""
    response = transport.request("DELETE", path)
    if response.status != HTTPStatus.ACCEPTED:
        return None
    try:
        return get_deletion(transport, path)
    except NotFoundError:  # it is over
        return None


def get_deletion(transport: Transport, path: str) -> Deletion:
    return parse(Deletion, transport.json("GET", f"{path}/deletion"))


def withdraw_deletion(transport: Transport, path: str) -> Deletion:
    return parse(Deletion, transport.json("DELETE", f"{path}/deletion"))
