"""Webhooks, and the delivery of each message to its receiver."""

import uuid
from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Case, Exists, OuterRef, Q, When
from django.utils import timezone

from scenarios.domain.webhooks import DeliveryState, Message, WebhookKind


def new_message_id() -> str:
    return f"msg_{uuid.uuid4().hex}"


class Webhook(models.Model):
    """An address that receives messages about runs, in the form of its kind.

    The address and the key may be `${secret:NAME}`, so that this table does not hold what they are.

    The secret is not stored but derived from SECRET_KEY and the salt, so that neither a copy of the database
    nor a page shows it. `fingerprint` shows whether SECRET_KEY has changed since.
    """

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(
        max_length=10,
        choices=[(kind.value, kind.value) for kind in WebhookKind],
        default=WebhookKind.WEBHOOK,
    )
    url = models.CharField("address", max_length=500)
    key = models.CharField(max_length=120, blank=True, help_text="Only for PagerDuty: the routing key.")
    events = models.JSONField(default=list)
    tags = models.JSONField(
        default=list,
        blank=True,
        help_text="Only runs of stored scenarios with one of these tags; leave empty for all runs.",
    )
    is_enabled = models.BooleanField("enabled", default=True)
    disabled_because = models.CharField(max_length=300, blank=True, editable=False)
    salt = models.CharField(max_length=64, editable=False)
    fingerprint = models.CharField(max_length=16, editable=False)
    earlier_salt = models.CharField(max_length=64, blank=True, editable=False)
    secret_changed_at = models.DateTimeField(default=timezone.now, editable=False)
    wait_until = models.DateTimeField(
        null=True, editable=False, help_text="The receiver has asked to be sent nothing before."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_signed(self) -> bool:
        """Messages of the other kinds have a form that leaves no room for a signature."""
        return self.kind == WebhookKind.WEBHOOK


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def pending(self) -> Self:
        return self.filter(state=DeliveryState.PENDING)

    def on_their_way(self) -> Self:
        """Pending deliveries whose receiver is enabled."""
        return self.pending().filter(Q(webhook__isnull=True) | Q(webhook__is_enabled=True))

    def due(self, now: datetime) -> Self:
        """Deliveries to send now, in their order.

        Messages about a run are sent in order: a message waits until each earlier one to the same receiver
        has been tried once. Of several runs, what is left injected comes first, and no retry holds back a
        message that has not been tried.
        """
        unanswered = Delivery.objects.pending().filter(
            webhook=OuterRef("webhook"), run=OuterRef("run"), pk__lt=OuterRef("pk"), reason=""
        )
        is_patient = Q(webhook__isnull=True) | Q(webhook__wait_until=None) | Q(webhook__wait_until__lte=now)
        due = self.on_their_way().filter(is_patient, ~Exists(unanswered), next_try_at__lte=now)
        urgency = Case(When(message=Message.FAULT_OUTSTANDING, then=0), When(tries=0, then=1), default=2)
        return due.order_by(urgency, "next_try_at", "pk")


class Delivery(models.Model):
    """One message to one receiver, stored in the transaction of the change that it reports.

    A sender increments `tries` before it sends; only the sender with the current number may record the
    result.
    """

    message_id = models.CharField(max_length=40, unique=True, default=new_message_id, editable=False)
    webhook = models.ForeignKey(
        Webhook,
        models.CASCADE,
        null=True,
        related_name="deliveries",
        help_text="None means Grafana, or the collector of traces.",
    )
    run = models.ForeignKey("scenarios.Run", models.CASCADE, null=True, related_name="deliveries")
    message = models.CharField(max_length=40)
    payload = models.TextField()
    state = models.CharField(
        max_length=10,
        choices=[(state.value, state.value) for state in DeliveryState],
        default=DeliveryState.PENDING,
    )
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    status = models.PositiveIntegerField("HTTP status", null=True, help_text="Of the last response.")
    reason = models.CharField(max_length=300, blank=True, help_text="Why the last try failed.")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["state", "next_try_at"]),
            models.Index(fields=["webhook", "run", "state"]),
            models.Index(fields=["created_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.message} to {self.receiver}"

    @property
    def receiver(self) -> str:
        if self.webhook is not None:
            return self.webhook.name
        return "the collector of traces" if self.message == Message.TRACE else "Grafana"
