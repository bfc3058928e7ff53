"""The states of a delivery: claimed, delivered, retried, given up, sent again by a person.

A claim increments `tries`, and the sender names that number when it records the result. So only one of two
senders gets a delivery, and one that was suspended changes nothing that another has sent since.
"""

import random
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Min, Q, QuerySet
from django.utils import timezone

from scenarios.domain.webhooks import DeliveryState, Message
from scenarios.models import Delivery, Webhook

# Seconds before each retry, over three days, as the Standard Webhooks specification recommends.
RETRY_DELAYS = (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
MAX_TRIES = len(RETRY_DELAYS) + 1
MAX_DELAY = 86_400.0
JITTER = 0.1
# Longer than a try can take: after that, its sender has died and another may try.
CLAIM_PERIOD = timedelta(seconds=60)
GONE = 410

# The id of a webhook, or the only message that Grafana or the collector of traces gets.
Receiver = int | Message


def list_due_receivers() -> list[Receiver]:
    """Receivers with due deliveries: first those that learn what is left injected, then by waiting time.

    What waits for one that is no longer configured stays where it is.
    """
    due = Delivery.objects.due(timezone.now()).order_by().values_list("webhook", "message")
    ranks: dict[Receiver, tuple[bool, datetime]] = {}
    for webhook, message, oldest in due.annotate(oldest=Min("next_try_at")):
        receiver = webhook if webhook is not None else Message(message)
        rank = (message != Message.FAULT_OUTSTANDING, oldest)
        ranks[receiver] = min(rank, ranks.get(receiver, rank))
    if not settings.GRAFANA_URL:
        ranks.pop(Message.ANNOTATION, None)
    if not settings.TRACES_ENDPOINT:
        ranks.pop(Message.TRACE, None)
    return sorted(ranks, key=ranks.__getitem__)


def claim_next(receiver: Receiver) -> Delivery | None:
    """Claim the receiver's next delivery for the caller; None if nothing is due."""
    is_webhook = isinstance(receiver, int)
    to_receiver = Q(webhook=receiver) if is_webhook else Q(webhook=None, message=receiver)
    while True:
        now = timezone.now()
        due = Delivery.objects.due(now).filter(to_receiver).select_related("webhook", "run")
        if (delivery := due.first()) is None or claim(delivery):
            return delivery


def claim(delivery: Delivery) -> bool:
    """Claim the delivery for the caller. False if another sender was quicker or it is not pending."""
    free = Delivery.objects.pending().filter(pk=delivery.pk, tries=delivery.tries)
    claimed = free.update(tries=F("tries") + 1, next_try_at=timezone.now() + CLAIM_PERIOD)
    delivery.tries += claimed
    return bool(claimed)


def record_arrival(delivery: Delivery, status: int) -> bool:
    """Return False if another sender has claimed the delivery since."""
    return _record(delivery, state=DeliveryState.DELIVERED, status=status, reason="", ended_at=timezone.now())


def record_failure(
    delivery: Delivery, reason: str, *, status: int | None = None, wait: float = 0.0
) -> DeliveryState:
    """Record why the try failed, and plan the next one, at least `wait` seconds from now.

    After the last try the delivery has failed. A webhook whose receiver answers 410, or has accepted nothing
    since this delivery was created, is disabled until a person enables it again.
    """
    if wait and delivery.webhook is not None:
        # The receiver asks for less, not for this message later: it gets nothing before.
        until = timezone.now() + timedelta(seconds=min(wait, MAX_DELAY))
        Webhook.objects.filter(pk=delivery.webhook.pk).update(wait_until=until)
    changes = {"status": status, "reason": reason[:300]}
    is_test = delivery.message == Message.TEST  # tests are tried once: a person looks at the answer
    if status != GONE and not is_test and delivery.tries < MAX_TRIES:
        next_try_at = timezone.now() + timedelta(seconds=compute_delay(delivery.tries, wait))
        _record(delivery, next_try_at=next_try_at, **changes)
        return DeliveryState.PENDING
    ended = _record(delivery, state=DeliveryState.FAILED, ended_at=timezone.now(), **changes)
    if ended and delivery.webhook is not None and (status == GONE or not is_test):
        _disable_if_dead(delivery.webhook, delivery, status)
    return DeliveryState.FAILED


def compute_delay(tries: int, wait: float) -> float:
    """Seconds, with jitter, so that deliveries that failed together are not retried together."""
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
        reason = "the receiver answered 410 Gone"
    elif not taken_since.exists():
        reason = f"the receiver has accepted nothing since {delivery.created_at:%Y-%m-%d %H:%M} UTC"
    else:
        return
    enabled = Webhook.objects.filter(pk=webhook.pk, is_enabled=True)
    enabled.update(is_enabled=False, disabled_because=reason)


def send_again(deliveries: QuerySet[Delivery]) -> int:
    """Make the deliveries due now, with all their tries. Skip what is being sent; return how many."""
    again = {"state": DeliveryState.PENDING, "tries": 0, "next_try_at": timezone.now(), "ended_at": None}
    ended = deliveries.exclude(state=DeliveryState.PENDING).update(**again)
    waiting = deliveries.filter(state=DeliveryState.PENDING, next_try_at__gt=timezone.now() + CLAIM_PERIOD)
    return ended + waiting.update(next_try_at=timezone.now())


def prune_deliveries(before: datetime, *, at_most: int) -> int:
    """Delete deliveries that were created before this time; return how many."""
    old = Delivery.objects.filter(created_at__lt=before).order_by("pk").values_list("pk", flat=True)
    ids = list(old[:at_most])
    Delivery.objects.filter(pk__in=ids).delete()
    return len(ids)
