"""Up to which id the rows of a table are final: nothing with a lower id appears later.

PostgreSQL gives ids when rows are inserted, and shows them when their transactions end, in another order. A
reader that goes on after the highest id that it has seen would miss rows. What is visible at some moment is
final as soon as every transaction has ended that had begun to write by then.
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from django.db import connection, models
from django.db.models import Max

# Transactions of other databases of the server count, too. None of ours that writes events takes so long.
MAX_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Mark:
    """Of one moment: the highest visible id, and the transaction before which all have ended."""

    newest: int
    all_ended_before: int


class Marks(Protocol):
    def read(self) -> Mark: ...

    def take_transaction(self) -> int:
        """A transaction that is later than every one that has written. Each call uses up a number."""
        ...


class TableMarks:
    """Marks of a table of the database. SQLite has one writer, so that ids become visible in their order."""

    def __init__(self, model: type[models.Model]) -> None:
        self._model = model

    def read(self) -> Mark:
        if connection.vendor != "postgresql":
            newest = self._model._default_manager.aggregate(newest=Max("pk"))["newest"]  # noqa: SLF001 - Django's own public name for it
            return Mark(newest or 0, 0)
        table = connection.ops.quote_name(self._model._meta.db_table)  # noqa: SLF001 - the same
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT (SELECT max(id) FROM {table}), "  # noqa: S608 - a table of ours
                "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
            )
            newest, all_ended_before = cursor.fetchone()
        return Mark(newest or 0, all_ended_before)

    def take_transaction(self) -> int:
        # Not `pg_snapshot_xmax`: transactions that run may have higher numbers, as it is the first that has
        # not ended. A number is taken only where there is something new.
        if connection.vendor != "postgresql":
            return 0
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()::text::bigint")
            taken: int = cursor.fetchone()[0]
        return taken


@dataclass(frozen=True, slots=True)
class _Waiting:
    newest: int
    transaction: int
    since: float


class SettledIds:
    """Shared by all readers of a process, so that what one has waited for serves the others."""

    def __init__(self, marks: Marks, clock: Callable[[], float] = time.monotonic) -> None:
        self._marks, self._clock = marks, clock
        self._lock = threading.Lock()
        self._settled = 0
        self._waiting: _Waiting | None = None

    def find(self) -> tuple[int, int]:
        """The highest final id, and the highest visible one. One query where nothing is new."""
        with self._lock:
            now = self._marks.read()
            if now.newest < self._settled:  # a backup was restored
                self._settled, self._waiting = now.newest, None
            self._settle(now)
            if self._waiting is None and now.newest > self._settled:
                taken = self._marks.take_transaction()
                self._waiting = _Waiting(now.newest, taken, self._clock())
                self._settle(self._marks.read())
            return self._settled, now.newest

    def _settle(self, now: Mark) -> None:
        waiting = self._waiting
        if waiting is None:
            return
        has_waited = self._clock() - waiting.since >= MAX_WAIT_SECONDS
        if has_waited or now.all_ended_before >= waiting.transaction:
            self._settled, self._waiting = waiting.newest, None
