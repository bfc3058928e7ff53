"""Keeps the looks of a run's validations: in memory at once, and every few seconds in the database.

A worker that is killed loses the looks of the last seconds, and nothing else depends on them.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from scenarios.database.errors import UNSTORABLE, is_refused
from scenarios.domain.errors import LeaseLost
from scenarios.domain.looks import Look, LookSeries, choose_limit
from scenarios.domain.outputs import make_ascii
from scenarios.domain.plan import Plan, Validation, find_service
from scenarios.models import LookChunk, Run
from scenarios.published.looks import Watched, encode_looks
from scenarios.runs.journal import DatabaseJournal
from scenarios.runs.leases import Claim, build_lost_error

logger = logging.getLogger(__name__)
WRITE_SECONDS = 2.0
# The last chunk is written again with each further look, so it is small.
CHUNK_LOOKS = 60
MAX_NAME = 200  # what the columns take
Spelling = Callable[[str], str]


@dataclass(slots=True)
class _Page:
    """A series in memory, and how much of it is in the database."""

    number: int
    watched: Watched
    series: LookSeries
    written: int = 0
    thinned: int = 0

    @property
    def is_written(self) -> bool:
        return self.written == len(self.series.looks) and self.thinned == self.series.thinned


@dataclass(frozen=True, slots=True)
class _Change:
    """What is to be written of a series: its looks from a chunk on. After thinning, later chunks are gone."""

    number: int
    watched: Watched
    first_chunk: int
    looks: Sequence[Look]
    was_thinned: bool


class LookBook:
    """The looks of one attempt of a run. `note` never waits; `keep` writes them until it is cancelled."""

    def __init__(self, plan: Plan, claim: Claim, attempt: int) -> None:
        self._limit = choose_limit(sum(len(phase.validations) for phase in plan.phases))
        self._claim = claim
        self._attempt = attempt
        self._is_refused = False
        self._pages: dict[tuple[str, str], _Page] = {}

    def note(self, phase: str, validation: Validation, look: Look) -> None:
        key = (phase, validation.name)
        page = self._pages.get(key)
        if page is None:
            watched = _describe(phase, validation)
            page = self._pages[key] = _Page(len(self._pages), watched, LookSeries(self._limit))
        page.series.add(look)

    async def keep(self, journal: DatabaseJournal) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write(journal)

    async def write(self, journal: DatabaseJournal) -> None:
        """Write what is new. A database that refuses it costs the looks, never the run."""
        pages = [page for page in self._pages.values() if not page.is_written]
        changes = [_find_change(page) for page in pages]
        lengths = [(len(page.series.looks), page.series.thinned) for page in pages]
        if not changes or self._is_refused:
            return
        try:
            await journal.write(store_looks, self._claim, self._attempt, changes)
        except LeaseLost:
            return  # the renewal of the lease finds that, too, and ends the run
        except UNSTORABLE as error:
            self._is_refused = True
            logger.warning("Looks could not be stored: %s: %s", type(error).__name__, error)
            return
        for page, (length, thinned) in zip(pages, lengths, strict=True):
            page.written, page.thinned = length, thinned


def _describe(phase: str, validation: Validation) -> Watched:
    about = find_service(validation.probe) or validation.probe.driver
    names = (phase, validation.name, about, validation.expect.compared)
    return Watched(*(name[:MAX_NAME] for name in names))


def _find_change(page: _Page) -> _Change:
    was_thinned = page.thinned != page.series.thinned
    first = 0 if was_thinned else page.written // CHUNK_LOOKS
    looks = page.series.looks[first * CHUNK_LOOKS :]
    return _Change(page.number, page.watched, first, looks, was_thinned)


def store_looks(claim: Claim, attempt: int, changes: Sequence[_Change]) -> None:
    """Write the changes; may be called twice with the same ones.

    Raises:
        LeaseLost: another process has claimed the run.
    """
    try:
        _store(claim, attempt, changes, lambda name: name)
    except UNSTORABLE as error:
        if not is_refused(error):
            raise
        _store(claim, attempt, changes, make_ascii)


def _store(claim: Claim, attempt: int, changes: Sequence[_Change], spell: Spelling) -> None:
    with transaction.atomic():
        held = Run.objects.select_for_update().filter(id=claim.run_id, fence=claim.fence)
        if not list(held.values_list("id")):
            raise build_lost_error(claim)
        rows = [row for change in changes for row in _build_rows(claim.run_id, attempt, change, spell)]
        LookChunk.objects.bulk_create(
            rows,
            batch_size=200,
            update_conflicts=True,
            unique_fields=["run", "attempt", "series", "number"],
            update_fields=["count", "content"],
        )
        for change in changes:
            if change.was_thinned:
                last = -(-len(change.looks) // CHUNK_LOOKS) - 1
                of_series = LookChunk.objects.filter(run=claim.run_id, attempt=attempt, series=change.number)
                of_series.filter(number__gt=last).delete()


def _build_rows(run_id: UUID, attempt: int, change: _Change, spell: Spelling) -> Iterator[LookChunk]:
    watched = change.watched
    for begin in range(0, len(change.looks), CHUNK_LOOKS):
        looks = change.looks[begin : begin + CHUNK_LOOKS]
        yield LookChunk(
            run_id=run_id,
            attempt=attempt,
            series=change.number,
            number=change.first_chunk + begin // CHUNK_LOOKS,
            phase=spell(watched.phase)[:MAX_NAME],
            validation=spell(watched.validation)[:MAX_NAME],
            about=spell(watched.about)[:MAX_NAME],
            compared=spell(watched.compared)[:MAX_NAME],
            count=len(looks),
            content=encode_looks(looks),
        )
