"""Up to which id the rows of a table are final: nothing with a lower id appears later.

PostgreSQL gives ids when rows are inserted, and shows them when their transactions end, in another order. A
reader that goes on after the highest id that it has seen would miss rows. What was visible at some moment is
final as soon as every transaction of that moment has ended.
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection, models
from django.db.models import Max

# Transactions of other databases of the server count, too. None of ours that writes events takes so long.
MAX_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Mark:
    """Of one moment: the highest visible id, the first running transaction, and the next to begin."""

    newest: int
    first_running: int
    next_to_begin: int


def read_mark(model: type[models.Model]) -> Mark:
    """One query."""
    if connection.vendor != "postgresql":
        # SQLite has one writer at a time, so that ids become visible in their order.
        return Mark(model._default_manager.aggregate(newest=Max("pk"))["newest"] or 0, 0, 0)  # noqa: SLF001 - Django's own public name for it
    table = connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001 - the same
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT (SELECT max(id) FROM {table}), pg_snapshot_xmin(now.snapshot)::text::bigint, "  # noqa: S608 - a table of ours
            "pg_snapshot_xmax(now.snapshot)::text::bigint "
            "FROM (SELECT pg_current_snapshot() AS snapshot) AS now"
        )
        newest, first_running, next_to_begin = cursor.fetchone()
    return Mark(newest or 0, first_running, next_to_begin)


class SettledIds:
    """Shared by all readers of a process, so that what one has waited for serves the others."""

    def __init__(self, read: Callable[[], Mark], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._lock = threading.Lock()
        self._settled = 0
        self._waiting: Mark | None = None
        self._waiting_since = 0.0

    def find(self) -> tuple[int, int]:
        """The highest final id, and the highest visible one. One query."""
        with self._lock:
            now = self._read()
            # After a backup was restored, or for another database.
            self._settled = min(self._settled, now.newest)
            if self._waiting is None or self._waiting.newest > now.newest:
                self._wait_for(now)
            if self._waiting is not None and self._has_settled(self._waiting, now):
                self._settled = self._waiting.newest
                self._waiting = None
                self._wait_for(now)
            return self._settled, now.newest

    def _wait_for(self, now: Mark) -> None:
        if now.newest <= self._settled:
            self._waiting = None
        elif now.first_running >= now.next_to_begin:  # none was running
            self._settled, self._waiting = now.newest, None
        else:
            self._waiting, self._waiting_since = now, self._clock()

    def _has_settled(self, waiting: Mark, now: Mark) -> bool:
        has_waited = self._clock() - self._waiting_since >= MAX_WAIT_SECONDS
        return has_waited or now.first_running >= waiting.next_to_begin
