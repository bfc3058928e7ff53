"""What answers queries that a rule has redirected."""

from __future__ import annotations

import contextlib
import fnmatch
import heapq
import ipaddress
import select
import socket
import threading
import time
from typing import Any, Callable

from injector.host.arguments import Json
from injector.host.flows import DNS_PORT
from injector.host.rules import MARK, SO_MARK

MAX_QUERIES = 500


class Resolver:
    """Answers queries for some names, and passes others on to the name server, in its own thread."""

    def __init__(self, target: Json) -> None:
        self._target = target
        self._servers: dict[socket.socket, str] = {}
        self._asked: dict[socket.socket, tuple[socket.socket, Any, float]] = {}
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def start(self) -> list[int]:
        """Start to answer; returns the ports, in the order of the name servers."""
        ports = []
        for end in self._target["ends"]:
            is_v6 = ":" in end["address"]
            server = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
            server.bind(("::1" if is_v6 else "127.0.0.1", 0))
            server.setblocking(False)
            self._servers[server] = end["address"]
            ports.append(int(server.getsockname()[1]))
        threading.Thread(target=self._run, daemon=True).start()
        return ports

    def _run(self) -> None:
        while True:
            readable, _, _ = select.select(
                [*self._servers, *self._asked], [], [], 0.02 if self._later else 1.0
            )
            for readable_socket in readable:
                with contextlib.suppress(OSError):
                    if readable_socket in self._servers:
                        self._take_query(readable_socket)
                    else:
                        self._take_answer(readable_socket)
            while self._later and self._later[0][0] <= time.monotonic():
                with contextlib.suppress(OSError):
                    heapq.heappop(self._later)[2]()
            for expired in [expired for expired, entry in self._asked.items() if entry[2] < time.monotonic()]:
                self._asked.pop(expired)
                expired.close()

    def _take_query(self, server: socket.socket) -> None:
        data, client = server.recvfrom(4096)
        name = read_query_name(data)
        if name is None or not any(fnmatch.fnmatchcase(name, pattern) for pattern in self._target["names"]):
            self._pass_on(server, data, client)
            return
        answer = build_dns_answer(data, self._target["answer"])

        def act() -> None:
            if answer is None:
                self._pass_on(server, data, client)
            else:
                server.sendto(answer, client)

        self._number += 1
        if len(self._later) < MAX_QUERIES:
            heapq.heappush(self._later, (time.monotonic() + self._target["delay"], self._number, act))

    def _pass_on(self, server: socket.socket, data: bytes, client: Any) -> None:
        if len(self._asked) >= MAX_QUERIES:
            return
        asked = socket.socket(server.family, socket.SOCK_DGRAM)
        asked.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)  # otherwise it would be redirected here again
        self._asked[asked] = (server, client, time.monotonic() + 10.0)
        asked.sendto(data, (self._servers[server], DNS_PORT))

    def _take_answer(self, asked: socket.socket) -> None:
        server, client, _ = self._asked.pop(asked)
        try:
            server.sendto(asked.recv(65_535), client)
        finally:
            asked.close()


def read_query_name(data: bytes) -> str | None:
    """The name that a query is for, in lower case; None if it is not a query (RFC 1035, 4.1)."""
    if len(data) < 17 or data[2] & 0x80 or data[4:6] != b"\0\1":  # noqa: PLR2004
        return None
    labels, place = [], 12
    while place < len(data) and data[place]:
        length = data[place]
        if length > 63:  # noqa: PLR2004 - a label, or a pointer, which a question has not
            return None
        labels.append(data[place + 1 : place + 1 + length].decode("latin-1").lower())
        place += 1 + length
    return ".".join(labels) if place + 5 <= len(data) else None


def build_dns_answer(query: bytes, answer: str) -> bytes | None:
    """The answer of the fault; None if the real answer is only late."""
    if not answer:
        return None
    end = query.index(b"\0", 12) + 5
    kind = int.from_bytes(query[end - 4 : end - 2], "big")
    code = {"servfail": 2, "nxdomain": 3}.get(answer, 0)
    flags = 0x8080 | (query[2] & 1) << 8 | code
    record = b""
    if code == 0:
        address = ipaddress.ip_address(answer)
        if kind == (1 if address.version == 4 else 28):  # noqa: PLR2004 - A and AAAA
            packed = address.packed
            # The name is that of the question, the class is IN, and nobody caches it.
            record = b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1\0\0\0\0" + len(packed).to_bytes(2, "big")
            record += packed
    counts = b"\0\1" + (b"\0\1" if record else b"\0\0") + b"\0\0\0\0"
    return query[:2] + flags.to_bytes(2, "big") + counts + query[12:end] + record
