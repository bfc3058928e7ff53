"""Runs that outlive what they refer to: a scenario, or the person who started them.

Django would clear the reference of all of them in one transaction: on SQLite, nobody could write meanwhile.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal
from uuid import UUID

from django.contrib.auth.models import User

from scenarios.domain.outcomes import RunState
from scenarios.models import Run, Scenario

RUNS_AT_ONCE = 500
REST_SECONDS = 0.02
Reference = Literal["scenario", "started_by"]


@contextmanager
def detached_runs(reference: Reference, owner: Scenario | User) -> Iterator[None]:
    """Within, no ended run refers to the owner; afterwards, they do again if it still exists.

    Where the process ends meanwhile, the next deletion goes on with the runs that are left.
    """
    key, rows = owner.pk, type(owner)._default_manager  # noqa: SLF001 - documented by Django
    ids = list(
        Run.objects.filter(state=RunState.FINISHED, **{reference: key})
        .order_by()
        .values_list("pk", flat=True)
    )
    _refer(ids, reference, key, None)
    try:
        yield
    finally:
        if ids and rows.filter(pk=key).exists():
            _refer(ids, reference, None, key)


def _refer(ids: Sequence[UUID], reference: Reference, before: int | None, after: int | None) -> None:
    """In short transactions with rests, in which others can write."""
    for first in range(0, len(ids), RUNS_AT_ONCE):
        some = Run.objects.filter(pk__in=ids[first : first + RUNS_AT_ONCE])
        unchanged: dict[str, Any] = {reference: before} if before else {f"{reference}__isnull": True}
        some = some.filter(**unchanged)
        some.update(**{reference: after})
        time.sleep(REST_SECONDS)
