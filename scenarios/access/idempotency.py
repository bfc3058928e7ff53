"""Carries out a write once, even if it is sent again: its response is stored in the same transaction."""

import hashlib
import json
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
    """The key was used with another request."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_kept(self) -> bool:
        """Refusals are not stored: they changed nothing, so that the request may be sent again."""
        return 200 <= self.status < 300  # noqa: PLR2004 - what HTTP calls successful


def fingerprint(method: str, address: str, body: bytes) -> str:
    """The same for two bodies of JSON that differ only in spaces and in the order of names."""
    return hashlib.sha256(b"\0".join([method.encode(), address.encode(), _normalize(body)])).hexdigest()


def _normalize(body: bytes) -> bytes:
    try:
        return json.dumps(json.loads(body), sort_keys=True).encode()
    except (ValueError, RecursionError):  # not JSON
        return body


def answer_once(caller: str, key: str, request: str, write: Callable[[], Answer]) -> tuple[Answer, bool]:
    """The response of `write`, or the stored one for this key; and whether it was stored.

    The transaction writes the row of the key first, so that a second request with the same key waits until
    the first has committed, and then finds its response. If the process dies before, neither exists.

    Raises:
        KeyUsedOtherwise: the key was used with another request.
    """
    with transaction.atomic():
        row = _claim(caller, key, request)
        if row is None:
            return _find_stored(caller, key, request), True
        answer = write()
        if answer.is_kept:
            row.status, row.headers, row.body = answer.status, answer.headers, answer.body
            row.save(update_fields=["status", "headers", "body"])
        else:
            transaction.set_rollback(True)
    return answer, False


def _claim(caller: str, key: str, request: str) -> KeptAnswer | None:
    """A new row for the key; None if there is one already."""
    KeptAnswer.objects.filter(caller=caller, key=key, created_at__lt=timezone.now() - KEPT_FOR).delete()
    try:
        with transaction.atomic():
            return KeptAnswer.objects.create(caller=caller, key=key, request=request)
    except IntegrityError:
        return None


def _find_stored(caller: str, key: str, request: str) -> Answer:
    row = KeptAnswer.objects.get(caller=caller, key=key)
    if row.request != request:
        raise KeyUsedOtherwise(
            f"The Idempotency-Key {key!r} was used with another request; use a new key for each write."
        )
    return Answer(row.status, row.headers, bytes(row.body))


def prune_answers(now: datetime, *, at_most: int) -> int:
    """Delete responses that were stored long enough; returns how many."""
    old = KeptAnswer.objects.filter(created_at__lt=now - KEPT_FOR).order_by("created_at")
    ids = list(old.values_list("id", flat=True)[:at_most])
    KeptAnswer.objects.filter(id__in=ids).delete()
    return len(ids)
