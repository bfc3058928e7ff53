"""Free ports for real servers, and waiting for conditions."""

import socket
import time
from collections.abc import Callable

# Seconds. A busy machine takes a minute to start a process that takes two seconds on an idle one.
MAX_WAIT = 300.0


_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, and that this process has not been given before.

    Linux chooses at random: of some hundred calls, two may well get the same port.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def get_port(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def is_listening(port: int, address: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def wait_for(condition: Callable[[], object], *, what: str, seconds: float = MAX_WAIT) -> None:
    """Wait for another process. A test needs no shorter limit, because a true condition is noticed soon.

    It checks less often the longer it waits, because some conditions take processor time that the other
    process needs.

    Raises:
        AssertionError: the condition did not come true in time.
    """
    begun = time.monotonic()
    while not condition():
        waited = time.monotonic() - begun
        assert waited < seconds, f"{what}: not so after {seconds:g} s"
        time.sleep(min(max(0.02, waited / 20), 0.25))
