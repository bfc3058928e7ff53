"""A write that is sent again is carried out once: its answer is kept with it, in one transaction."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import IntegrityError, transaction
from django.utils import timezone

from scenarios.domain.errors import ScenarioError
from scenarios.models.access import KeptAnswer

T = TypeVar("T")
KEPT_FOR = timedelta(hours=24)
MAX_KEY_LENGTH = 255


class KeyUsedOtherwise(ScenarioError):  # noqa: N818 - a state, as its siblings in errors.py
    """The key was named with another request."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_kept(self) -> bool:
        """A refusal has done nothing: sent again, the request is judged anew."""
        return 200 <= self.status < 300  # noqa: PLR2004 - what HTTP calls successful


def fingerprint(method: str, address: str, body: bytes) -> str:
    return hashlib.sha256(b"\0".join([method.encode(), address.encode(), body])).hexdigest()


def once(caller: str, key: str, request: str, write: Callable[[], Answer]) -> tuple[Answer, bool]:
    """What `write` answers, or answered when it was asked for with this key; and whether it was kept.

    The key's row is the first thing the transaction writes, so that a second request with the same key waits
    at it until the first has committed, and then finds its answer. Whatever ends the process before leaves
    neither the row nor what was written.

    Raises:
        KeyUsedOtherwise: the key stands for another request.
    """
    with transaction.atomic():
        row = _claim(caller, key, request)
        if row is None:
            return _kept(caller, key, request), True
        answer = write()
        if answer.is_kept:
            row.status, row.headers, row.body = answer.status, answer.headers, answer.body
            row.save(update_fields=["status", "headers", "body"])
        else:
            transaction.set_rollback(True)
    return answer, False


def _claim(caller: str, key: str, request: str) -> KeptAnswer | None:
    """A row of one's own; None where there is one already."""
    KeptAnswer.objects.filter(caller=caller, key=key, created_at__lt=timezone.now() - KEPT_FOR).delete()
    try:
        with transaction.atomic():
            return KeptAnswer.objects.create(caller=caller, key=key, request=request)
    except IntegrityError:
        return None


def _kept(caller: str, key: str, request: str) -> Answer:
    row = KeptAnswer.objects.get(caller=caller, key=key)
    if row.request != request:
        raise KeyUsedOtherwise(
            f"The Idempotency-Key {key!r} was used with another request: take a new one for each write."
        )
    return Answer(row.status, row.headers, bytes(row.body))


def prune_answers(now: datetime, *, at_most: int) -> int:
    """Delete answers that were kept long enough; how many."""
    old = KeptAnswer.objects.filter(created_at__lt=now - KEPT_FOR).order_by("created_at")
    ids = list(old.values_list("id", flat=True)[:at_most])
    KeptAnswer.objects.filter(id__in=ids).delete()
    return len(ids)
