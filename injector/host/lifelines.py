"""The connections that no rule may cut."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, Sequence

from injector.host.arguments import Refusal, parse_address
from injector.host.processes import find_ancestors

# Where clients' ports begin: ip_local_port_range of Linux.
EPHEMERAL_PORT = 32_768


class Lifelines:
    """The connections that no rule may cut: this call's own over ssh, and what the request names."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.server_port = 0
        self._ends: list[tuple[Any, int]] = []
        words = find_ssh_connection().split()
        if len(words) == 4:  # noqa: PLR2004 - client's address and port, server's address and port
            with contextlib.suppress(Refusal, ValueError):
                self._ends.append((parse_address(words[0].partition("%")[0]), int(words[1])))
                self.server_port = int(words[3])
        for text in addresses:
            host, port = split_address(text)
            self._ends.append((parse_address(host), port))

    def check(self, direction: str, address: Any, port: int | None) -> None:
        """Raises Refusal if the rule would cut one of them. Without an `address`, it stands for all."""
        for end, end_port in self._ends:
            if address is not None and address != end:
                continue
            # The coordinator's next connection has another of the ports that clients get.
            cuts_out = port is None or port == end_port or port >= EPHEMERAL_PORT
            cuts_in = port is None or port == self.server_port or port >= EPHEMERAL_PORT
            if cuts_out if direction == "out" else cuts_in:
                where = "any" if address is None else str(address)
                raise Refusal(
                    f"a rule for {where!r}, port {port or 'any'}, would cut the connection with the "
                    f"coordinator at {str(end)!r}; name another port"
                )


def split_address(text: str) -> tuple[str, int]:
    """`10.0.0.1`, `10.0.0.1:5432`, `::1` or `[::1]:5432`; the port is 0 if there is none."""
    match = re.fullmatch(r"\[([0-9a-fA-F:.]+)\]:([0-9]{1,5})|([0-9.]+):([0-9]{1,5})", text)
    if match is None:
        return text.strip("[]"), 0
    return match[1] or match[3], int(match[2] or match[4])


def find_ssh_connection() -> str:
    """SSH_CONNECTION of this process or of an ancestor, because sudo does not pass it on."""
    if "SSH_CONNECTION" in os.environ:
        return os.environ["SSH_CONNECTION"]
    for pid in find_ancestors()[1:]:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            match = re.search(rb"(?:\A|\0)SSH_CONNECTION=([^\0]*)", file.read())
            if match is not None:
                return match[1].decode("ascii", "replace")
    return ""
