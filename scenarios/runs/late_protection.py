"""How a run notices that something which it touches has become protected.

The gate decides each connection, but a load, and a fault that is injected, go on without asking it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from scenarios.domain.outcomes import Outcome
from scenarios.engine.engine import Engine
from scenarios.models import Environment, Host, Run, Service
from scenarios.runs import admission
from scenarios.runs.leases import Claim

POLL_SECONDS = 1.0


async def end_when_protected(engine: Engine, find: Callable[[], Awaitable[Sequence[str]]]) -> None:
    """Ask again and again, until cancelled, what nobody has approved; end the run when there is something."""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        if names := await find():
            touched = ", ".join(map(admission.describe_target, names))
            reason = f"the run touches {touched}, which is protected now, and nobody has approved that"
            engine.end(Outcome.ERRORED, reason)
            return


class ProtectionLook:
    """Looks again what the run touches only if that, or what is protected, may have changed since."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._seen: Any = None

    def find_unapproved(self) -> Sequence[str]:
        """The protected services and hosts that the run touches, and that nobody has approved."""
        claimed = Run.objects.filter(id=self._claim.run_id, fence=self._claim.fence)
        present = [*_list_protected(), list(claimed.values_list("services", flat=True))]
        if present == self._seen or (run := claimed.first()) is None:
            return ()
        touched = {*run.services, *admission.find_touched_now(run)}
        found = admission.filter_unapproved(run.pk, admission.find_protected(touched))
        self._seen = present
        return found


def _list_protected() -> list[Any]:
    """With their addresses: a protected service may also be moved to where the run acts."""
    services = Service.objects.filter(is_protected=True).order_by("pk").values_list("name", "base_url")
    hosts = Host.objects.filter(is_protected=True).order_by("pk").values_list("name", "address")
    environments = Environment.objects.filter(is_protected=True).order_by("pk")
    return [list(services), list(hosts), list(environments.values_list("name", "services"))]
