"""How long the command line waits for a response, and that it says so while it waits."""

import os
import sys
from argparse import ArgumentTypeError
from threading import Timer
from typing import Any

from coordinator_client.command_line.moments import parse_timeout
from coordinator_client.command_line.wording import format_duration
from coordinator_client.errors import SettingsError
from coordinator_client.exchanges import Call, Response
from coordinator_client.profiles import TIMEOUT_VARIABLE
from coordinator_client.synchronous.transport import Transport

DEFAULT_SECONDS = 30.0
QUIET_SECONDS = 5.0


def choose_timeout(given: float | None) -> float:
    """The option, or the variable of the environment, or 30 s.

    Raises:
        SettingsError: the variable is not a duration.
    """
    if given is not None:
        return given
    text = os.environ.get(TIMEOUT_VARIABLE, "")
    try:
        return parse_timeout(text) if text else DEFAULT_SECONDS
    except ArgumentTypeError as error:
        raise SettingsError(f"{TIMEOUT_VARIABLE}: {error}.") from None


class PatientTransport(Transport):
    """Tells a person at a terminal that a response takes long."""

    def __init__(self, server: str, token: str = "", **how: Any) -> None:
        super().__init__(server, token, **how)
        self._has_spoken = False

    def _send(self, call: Call) -> Response:
        if self._has_spoken or not sys.stderr.isatty():
            return super()._send(call)
        timer = Timer(QUIET_SECONDS, self._say_that_it_waits)
        timer.daemon = True  # Ctrl-C ends the program at once
        timer.start()
        try:
            return super()._send(call)
        finally:
            timer.cancel()

    def _say_that_it_waits(self) -> None:
        self._has_spoken = True
        limit = f"for up to {format_duration(self._timeout)} ('--request-timeout')"
        sys.stderr.write(f"No response from {self.server} yet; waiting {limit}.\n")
