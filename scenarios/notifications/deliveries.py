"""What becomes of a delivery: claimed, answered, tried again, given up, sent again by a person.

A claim raises `tries`, and whoever claimed names the number it was given: of two senders one gets it,
and one that wakes too late says nothing about what another has sent since.
"""

import random
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from scenarios.domain.webhooks import DeliveryState, Message
from scenarios.models import Delivery, Webhook

# Seconds before each next try, for three days, as the specification of Standard Webhooks has it.
RETRY_DELAYS = (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
MAX_TRIES = len(RETRY_DELAYS) + 1
MAX_DELAY = 86_400.0
JITTER = 0.1
# Longer than a try may take: after that its sender is gone, and another may try.
CLAIM_PERIOD = timedelta(seconds=60)
GONE = 410


def list_due_receivers() -> list[int | None]:
    """Webhooks, by id, for which something is due; None is Grafana."""
    due = Delivery.objects.due(timezone.now())
    if not settings.GRAFANA_URL:
        due = due.filter(webhook__isnull=False)
    return list(due.order_by().values_list("webhook", flat=True).distinct())


def claim_next(webhook_id: int | None) -> Delivery | None:
    """The receiver's next delivery, to be sent by the caller alone; None where nothing is due."""
    while True:
        now = timezone.now()
        due = Delivery.objects.due(now).filter(webhook=webhook_id).select_related("webhook")
        if (delivery := due.first()) is None or claim(delivery):
            return delivery


def claim(delivery: Delivery) -> bool:
    """Have it for the caller alone; False where another was quicker, or nothing is to be sent."""
    free = Delivery.objects.pending().filter(pk=delivery.pk, tries=delivery.tries)
    claimed = free.update(tries=F("tries") + 1, next_try_at=timezone.now() + CLAIM_PERIOD)
    delivery.tries += claimed
    return bool(claimed)


def record_arrival(delivery: Delivery, status: int) -> bool:
    """False where another sender has claimed it since."""
    return _record(delivery, state=DeliveryState.DELIVERED, status=status, reason="", ended_at=timezone.now())


def record_failure(
    delivery: Delivery, reason: str, *, status: int | None = None, wait: float = 0.0
) -> DeliveryState:
    """Keep why the try failed, and when the next one is due: not before `wait` seconds have passed.

    After the last try it has failed for good. A receiver that says it is gone, or that has taken nothing
    for as long as this delivery was tried, is sent nothing more until a person enables it again.
    """
    changes = {"status": status, "reason": reason[:300]}
    is_test = delivery.message == Message.TEST  # whoever asked for it looks at its one answer
    if status != GONE and not is_test and delivery.tries < MAX_TRIES:
        next_try_at = timezone.now() + timedelta(seconds=compute_delay(delivery.tries, wait))
        _record(delivery, next_try_at=next_try_at, **changes)
        return DeliveryState.PENDING
    ended = _record(delivery, state=DeliveryState.FAILED, ended_at=timezone.now(), **changes)
    if ended and delivery.webhook is not None and (status == GONE or not is_test):
        _disable_if_dead(delivery.webhook, delivery, status)
    return DeliveryState.FAILED


def compute_delay(tries: int, wait: float) -> float:
    """Seconds; a little apart from each other, so that what failed together does not come back together."""
    spread = RETRY_DELAYS[tries - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    return max(spread, min(wait, MAX_DELAY))


def _record(delivery: Delivery, **changes: object) -> bool:
    claimed = Delivery.objects.pending().filter(pk=delivery.pk, tries=delivery.tries)
    return bool(claimed.update(**changes))


def _disable_if_dead(webhook: Webhook, delivery: Delivery, status: int | None) -> None:
    taken_since = Delivery.objects.filter(
        webhook=webhook, state=DeliveryState.DELIVERED, ended_at__gte=delivery.created_at
    )
    if status == GONE:
        reason = "the receiver answered 410: it wants nothing more"
    elif not taken_since.exists():
        reason = f"nothing has arrived there since {delivery.created_at:%Y-%m-%d %H:%M} UTC"
    else:
        return
    enabled = Webhook.objects.filter(pk=webhook.pk, is_enabled=True)
    enabled.update(is_enabled=False, disabled_because=reason)


def send_again(deliveries: QuerySet[Delivery]) -> int:
    """Make them due now, with all their tries; how many. What is being sent this moment is left alone."""
    again = {"state": DeliveryState.PENDING, "tries": 0, "next_try_at": timezone.now(), "ended_at": None}
    ended = deliveries.exclude(state=DeliveryState.PENDING).update(**again)
    waiting = deliveries.filter(state=DeliveryState.PENDING, next_try_at__gt=timezone.now() + CLAIM_PERIOD)
    return ended + waiting.update(next_try_at=timezone.now())


def prune_deliveries(before: datetime, *, at_most: int) -> int:
    """Delete deliveries that were written before; how many they were."""
    old = Delivery.objects.filter(created_at__lt=before).order_by("pk").values_list("pk", flat=True)
    ids = list(old[:at_most])
    Delivery.objects.filter(pk__in=ids).delete()
    return len(ids)
