"""Which leases have run out by this process's monotonic clock: setting the wall clock has no effect.

A live lease changes, because its holder renews it several times while it lasts. A lease that has not changed
for as long as it lasts has lost its holder. As in Kubernetes' leader election:
https://pkg.go.dev/k8s.io/client-go/tools/leaderelection
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from scenarios.models import Run


class LeaseWatch:
    """Must see the runs that are held at least once per lease.

    How long a lease lasts is in the run's row: its holder may have another LEASE_SECONDS than this process.
    `lease_seconds` applies to rows without it, which the worker of an older version has claimed.
    """

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._unchanged_since: dict[UUID, tuple[int, datetime | None, float]] = {}

    def ran_out(self, held: Sequence[Run], now: float) -> list[Run]:
        """The runs whose lease has not changed for as long as it lasts; `now` is from a monotonic clock."""
        before, self._unchanged_since = self._unchanged_since, {}
        for run in held:
            fence, until, since = before.get(run.id, (run.fence, run.lease_until, now))
            if (fence, until) != (run.fence, run.lease_until):
                since = now
            self._unchanged_since[run.id] = (run.fence, run.lease_until, since)
        return [run for run in held if now - self._unchanged_since[run.id][2] >= self._length(run)]

    def _length(self, run: Run) -> float:
        return self._lease_seconds if run.lease_seconds is None else run.lease_seconds
