"""Keeps in the database, every few seconds, what the loads of a run have measured so far, for its page.

Nothing else depends on it: the run's events have the whole once each phase, and the run, is over.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction

from scenarios.database.errors import UNSTORABLE
from scenarios.domain.errors import LeaseLost
from scenarios.engine.loads import SoFar
from scenarios.models import LoadProgress, Run
from scenarios.runs.journal import DatabaseJournal
from scenarios.runs.leases import Claim, build_lost_error

logger = logging.getLogger(__name__)
WRITE_SECONDS = 2.0
_LATENCY_DIGITS = 6  # after the point of seconds


class LoadBook:
    """The loads of one attempt of a run. `keep` writes them until it is cancelled."""

    def __init__(self, read: Callable[[], Sequence[SoFar]], claim: Claim, attempt: int) -> None:
        self._read = read
        self._claim = claim
        self._attempt = attempt
        self._version = 0
        self._is_refused = False

    async def keep(self, journal: DatabaseJournal) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write(journal)

    async def write(self, journal: DatabaseJournal) -> None:
        """A database that refuses it costs the curve, never the run."""
        loads = [] if self._is_refused else self._read()
        if not loads:
            return
        self._version += 1
        contents = [encode_load(load) for load in loads]
        try:
            await journal.write(store_loads, self._claim, self._attempt, self._version, contents)
        except LeaseLost:
            return  # the renewal of the lease finds that, too, and ends the run
        except UNSTORABLE as error:
            self._is_refused = True
            logger.warning("Loads so far could not be stored: %s: %s", type(error).__name__, error)

    async def clear(self, journal: DatabaseJournal) -> None:
        """The run's events have all of it now."""
        if self._version:
            await journal.write(delete_loads, self._claim, self._attempt)


def encode_load(load: SoFar) -> str:
    """JSON in ASCII, which any encoding of a database takes."""
    return json.dumps(
        {
            "name": load.name,
            "began_at": load.began_at.isoformat() if load.began_at else None,
            "phase": load.phase,
            "figures": load.figures,
            "curve": [[*point[:3], _shorten(point[3])] for point in load.points],
        },
        separators=(",", ":"),
    )


def _shorten(seconds: Any) -> Any:
    return None if seconds is None else round(seconds, _LATENCY_DIGITS)


def store_loads(claim: Claim, attempt: int, version: int, contents: Sequence[str]) -> None:
    """May be called twice with the same.

    Raises:
        LeaseLost: another process has claimed the run.
    """
    with transaction.atomic():
        held = Run.objects.select_for_update().filter(id=claim.run_id, fence=claim.fence)
        if not list(held.values_list("id")):
            raise build_lost_error(claim)
        LoadProgress.objects.bulk_create(
            [
                LoadProgress(
                    run_id=claim.run_id, attempt=attempt, number=number, version=version, content=content
                )
                for number, content in enumerate(contents)
            ],
            update_conflicts=True,
            unique_fields=["run", "attempt", "number"],
            update_fields=["version", "content"],
        )


def delete_loads(claim: Claim, attempt: int) -> None:
    LoadProgress.objects.filter(run=claim.run_id, attempt=attempt).delete()
