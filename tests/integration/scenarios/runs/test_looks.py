"""The looks of validations are stored in few rows, within bounds, and only by the holder of the run."""

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scenarios.domain.expectations import Expectations
from scenarios.domain.looks import MAX_LOOKS, Look
from scenarios.domain.plan import Phase, Plan, Step, Validation
from scenarios.models import LookChunk, Run
from scenarios.published.looks import find_looks_version, read_looks
from scenarios.runs import executor, leases
from scenarios.runs.look_book import CHUNK_LOOKS, LookBook
from scenarios.supervision import retention
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db(transaction=True)

DAWN = 1_780_000_000.0
LAG_IS_LOW = Expectations({"json": {"$.lag": {"below": 5}}})


def watch(name: str) -> Validation:
    return Validation(name, Step("http", {"service": "exchange", "path": "/"}), LAG_IS_LOW)


ONE = watch("orders are accepted")


def open_book(telling: Telling, *validations: Validation, attempt: int = 1) -> LookBook:
    plan = Plan("test", (Phase("chaos", validations=validations or (ONE,)),))
    return LookBook(plan, telling.claim, attempt)


def note(book: LookBook, first: int, last: int, of: Validation = ONE) -> None:
    for number in range(first, last):
        holds = number % 1_000 != 500
        book.note("chaos", of, Look(DAWN + number, holds, 0.001234, 2.5 if holds else None))


@async_to_sync
async def write(book: LookBook, telling: Telling) -> None:
    await book.write(executor.build_journal(telling.run, telling.claim))


def test_looks_are_read_as_they_were_written() -> None:
    telling = Telling()
    book = open_book(telling)
    note(book, 499, 502)
    write(book, telling)
    (kept,) = read_looks(telling.run)
    assert (kept.watched.about, kept.watched.compared) == ("exchange", "$.lag")
    seen = [(look.at, look.holds, look.elapsed, look.value) for look in kept.looks]
    assert seen == [
        (DAWN + 499, True, 0.001234, 2.5),
        (DAWN + 500, False, 0.001234, None),
        (DAWN + 501, True, 0.001234, 2.5),
    ]


def test_each_write_adds_what_is_new_and_another_attempt_follows() -> None:
    telling = Telling()
    book = open_book(telling)
    versions = {find_looks_version(telling.run)}
    for last in range(25, 201, 25):
        note(book, last - 25, last)
        write(book, telling)
        versions.add(find_looks_version(telling.run))
    assert len(versions) == 9
    assert LookChunk.objects.count() == -(-200 // CHUNK_LOOKS)
    again = open_book(telling, attempt=2)
    note(again, 200, 230)
    write(again, telling)
    (kept,) = read_looks(telling.run)
    assert [look.at - DAWN for look in kept.looks] == list(range(230))


def test_a_write_without_new_looks_asks_the_database_nothing() -> None:
    telling = Telling()
    book = open_book(telling)
    note(book, 0, 10)
    write(book, telling)
    with CaptureQueriesContext(connection) as queries:
        write(book, telling)
    assert not queries.captured_queries


def test_an_hour_of_ten_validations_takes_little_room() -> None:
    telling = Telling()
    validations = [watch(f"validation {number}") for number in range(10)]
    book = open_book(telling, *validations)
    for minute in range(60):
        for validation in validations:
            note(book, minute * 60, minute * 60 + 60, validation)
        if minute % 10 == 9:
            write(book, telling)
    kept = read_looks(telling.run)
    assert all(1_000 <= len(series.looks) <= MAX_LOOKS for series in kept)
    assert [[look.at - DAWN for look in series.looks if not look.holds] for series in kept] == [
        [500, 1_500, 2_500, 3_500]
    ] * 10
    assert LookChunk.objects.count() <= 10 * (MAX_LOOKS / CHUNK_LOOKS + 1)
    assert sum(len(row.content) for row in LookChunk.objects.all()) < 1024 * 1024


def test_a_process_that_has_lost_the_run_writes_no_looks() -> None:
    telling = Telling()
    book = open_book(telling)
    note(book, 0, 10)
    Run.objects.filter(pk=telling.run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert leases.take_over_run(Run.objects.get(pk=telling.run.pk), worker="there:2") is not None
    write(book, telling)
    assert not LookChunk.objects.exists()


def test_looks_that_the_database_refuses_do_not_end_the_run(caplog: pytest.LogCaptureFixture) -> None:
    telling = Telling()
    book = open_book(telling)
    note(book, 0, 1)
    book.note("chaos", watch("a text with a NUL \0 in it"), Look(DAWN, True, float("nan")))
    write(book, telling)
    assert "could not be stored" in caplog.text


def test_looks_are_deleted_with_their_run() -> None:
    telling = Telling()
    book = open_book(telling)
    note(book, 0, 10)
    write(book, telling)
    telling.finish()
    assert retention.prune(timezone.now() + timedelta(days=1), at_most=10) == 1
    assert not LookChunk.objects.exists()
