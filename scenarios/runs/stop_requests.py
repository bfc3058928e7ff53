"""How a run notices that somebody has asked for its end."""

import asyncio
from collections.abc import Awaitable, Callable

from scenarios.domain.outcomes import Outcome
from scenarios.engine.engine import Engine
from scenarios.models import Run
from scenarios.runs.leases import Claim, build_lost_error

POLL_SECONDS = 0.2


async def end_when_stopped(engine: Engine, find: Callable[[], Awaitable[str | None]]) -> None:
    """Ask again and again, until cancelled, who has asked for the end; end the run when somebody has."""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        if (who := await find()) is not None:
            engine.end(Outcome.ABORTED, f"stopped by {who}")


def find_stop_request(claim: Claim) -> str | None:
    """Who asked for the run's end, if anyone did.

    Raises:
        LeaseLost: another process has claimed it.
    """
    row = Run.objects.filter(id=claim.run_id, fence=claim.fence).values_list(
        "stop_requested_at", "stop_requested_by"
    )
    for asked_at, asked_by in row:
        return asked_by if asked_at is not None else None
    raise build_lost_error(claim)
