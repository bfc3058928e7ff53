"""Finds runs and faults by what a person knows of them. Each way stays quick, however many rows there are."""

import re
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from scenarios.models import Fault, Run, Scenario

MAX_WORDS = 4
MAX_SEARCHED = 10_000
_BEGINNING_OF_ID = re.compile(r"[0-9a-f]{4,32}")
_ID_LENGTH = 32


def search_runs(rows: QuerySet[Run], text: str) -> QuerySet[Run]:
    """Runs that each word of the text fits: the beginning of an id, a part of a scenario's name or title, or
    the name of the person who started it.
    """
    for word in text.split()[:MAX_WORDS]:
        rows = rows.filter(_build_condition(word))
    return rows


def search_faults(rows: QuerySet[Fault], text: str) -> QuerySet[Fault]:
    """Faults that each word of the text fits: the beginning of their run's id, or a part of what the newest
    ones say. A search through all of them would read each.
    """
    newest = Fault.objects.order_by("-opened_at").values_list("pk", flat=True)
    # As a number, not as a subquery: the database would look whether each of all the faults is among them.
    oldest = next(iter(newest[MAX_SEARCHED - 1 : MAX_SEARCHED]), 0)
    for word in text.split()[:MAX_WORDS]:
        said = Q(action__icontains=word) | Q(service__icontains=word) | Q(reason__icontains=word)
        found = Q(pk__gte=oldest) & said
        if (ids := _read_beginning_of_id(word)) is not None:
            of_runs = Fault.objects.filter(run__id__range=ids).order_by().values_list("pk", flat=True)
            found |= Q(pk__in=list(of_runs[:MAX_SEARCHED]))
        rows = rows.filter(found)
    return rows


def _build_condition(word: str) -> Q:
    scenarios = Scenario.objects.filter(Q(name__icontains=word) | Q(title__icontains=word))
    # With a subquery, the database would look at each run.
    found = Q(scenario__in=list(scenarios.order_by().values_list("pk", flat=True)))
    people = User.objects.filter(username__iexact=word).order_by()
    found |= Q(started_by__in=list(people.values_list("pk", flat=True)))
    if (ids := _read_beginning_of_id(word)) is not None:
        found |= Q(pk__range=ids)
    return found


def _read_beginning_of_id(word: str) -> tuple[UUID, UUID] | None:
    """The first and the last id that begin so."""
    digits = word.lower().replace("-", "")
    if not _BEGINNING_OF_ID.fullmatch(digits):
        return None
    return UUID(digits.ljust(_ID_LENGTH, "0")), UUID(digits.ljust(_ID_LENGTH, "f"))
