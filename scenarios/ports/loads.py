"""What sends the requests of a load."""

from collections.abc import Mapping
from typing import Any, Protocol

from scenarios.domain.plan import FaultCall as FaultCall  # noqa: PLC0414 - a part of the contract of drivers


class RunningLoad(Protocol):
    """A load that is sent by a process of its own, which ends with this one."""

    def enter_phase(self, phase: int) -> None:
        """Count what is due from now on under this number; the first call begins the load.

        Call it about every second: a load that hears nothing for some seconds ends by itself.
        """

    async def read(self) -> Mapping[str, Any] | None:
        """What was measured since the last report (see `scenarios.load.sender`); None if the load has ended.

        The first report says that the load may begin.
        """

    def kill(self) -> None:
        """End it at once."""


class LoadStarter(Protocol):
    async def start(self, order: Mapping[str, Any]) -> RunningLoad:
        """Start the process of a load; see `scenarios.load.process`.

        Raises:
            OSError: the process cannot be started.
        """
