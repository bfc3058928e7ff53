"""Looks up host names, each in a thread of its own.

asyncio looks them up in a few threads, which all names share, and which other work uses as well. One name
server that hangs would keep all of that waiting, also for addresses that need no lookup.
"""

import asyncio
import socket
import threading
from concurrent.futures import Future
from typing import Any, NamedTuple

AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


class _Question(NamedTuple):
    host: str
    port: Any
    family: int
    kind: int
    protocol: int
    flags: int


_running: dict[_Question, "Future[list[AddressInfo]]"] = {}
_lock = threading.Lock()


async def look_up(
    host: str,
    port: Any,
    *,
    family: int = 0,
    kind: int = socket.SOCK_STREAM,
    protocol: int = 0,
    flags: int = 0,
) -> list[AddressInfo]:
    """The addresses of the host, in the order in which to try them, as by `socket.getaddrinfo`.

    Raises:
        OSError: the name cannot be resolved.
        UnicodeError: the text is not a host name.
    """
    question = _Question(host, port, family, kind, protocol, flags)
    try:
        # An address needs no lookup.
        return _ask(question._replace(flags=flags | socket.AI_NUMERICHOST))
    except OSError:
        return await asyncio.wrap_future(_begin(question))


def _ask(question: _Question) -> list[AddressInfo]:
    return socket.getaddrinfo(*question)


def _begin(question: _Question) -> "Future[list[AddressInfo]]":
    with _lock:
        if (running := _running.get(question)) is not None:
            return running  # do not ask a name server that hangs again
        answer: Future[list[AddressInfo]] = Future()
        answer.set_running_or_notify_cancel()  # a caller that gives up does not cancel it for the others
        # A daemon, so that the process can end while the resolver hangs, which may take half a minute.
        threading.Thread(target=_answer, args=(question, answer), name="lookup", daemon=True).start()
        _running[question] = answer
        return answer


def _answer(question: _Question, answer: "Future[list[AddressInfo]]") -> None:
    found: list[AddressInfo] = []
    failure: Exception | None = None
    try:
        found = _ask(question)
    except Exception as error:  # noqa: BLE001 - those who wait must hear of it
        failure = error
    with _lock:
        del _running[question]
    if failure is None:
        answer.set_result(found)
    else:
        answer.set_exception(failure)
