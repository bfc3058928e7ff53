"""Webhooks for tests, and what was written for them."""

from typing import Any

from scenarios.domain.webhooks import SUBSCRIBABLE
from scenarios.models import Delivery, Run, Webhook
from scenarios.notifications import webhooks


def a_webhook(name: str = "chat", url: str = "http://127.0.0.1:9/hook", **changes: Any) -> Webhook:
    """Receives everything, unless `events` says otherwise."""
    webhook = Webhook(name=name, url=url, **{"events": [str(kind) for kind in SUBSCRIBABLE], **changes})
    webhooks.save_webhook(webhook)
    return webhook


def a_message(webhook: Webhook, run: Run | None = None) -> Delivery:
    """Of a run, by its kind: it is tried again, as no test is."""
    return Delivery.objects.create(webhook=webhook, run=run, message="run.started", payload="{}")


def written() -> list[str]:
    """The messages in the outbox, in the order in which they were written."""
    return list(Delivery.objects.order_by("pk").values_list("message", flat=True))
