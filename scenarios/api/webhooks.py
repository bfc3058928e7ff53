"""Webhooks, and whether their receivers can be reached. A secret is shown once and never stored."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal, get_args

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Field, Path, Query, Router, Schema, Status
from pydantic import StringConstraints

from scenarios.api.access import get_caller, needs
from scenarios.api.bodies import Body
from scenarios.api.description import BODY_REFUSALS, ITEM_REFUSALS, REFUSALS
from scenarios.api.merge_patch import patch_request
from scenarios.api.names import Int64, RowId, find_webhook
from scenarios.api.paging import Filters, Order, build_page
from scenarios.api.patterns import ONE_LINE
from scenarios.api.preconditions import Versioned
from scenarios.api.problem_codes import ProblemCode
from scenarios.api.problems import ConflictError, Problem, ProblemAt, RefusedError
from scenarios.api.resources import Resource
from scenarios.domain.webhooks import DeliveryState
from scenarios.models import Webhook
from scenarios.notifications import webhooks
from scenarios.notifications.addresses import ReceiverRefused, list_usable_events
from scenarios.runs.deletion_requests import delete_or_request

router = Router(tags=["webhooks"])
ORDER = Order(("pk",), (int,))
VERSIONED_FIELDS = ("name", "kind", "url", "key", "events", "tags", "is_enabled")
VERSIONED = Versioned(Webhook, VERSIONED_FIELDS, key="webhook_id")
WEBHOOK = Resource(router, "/webhooks/{webhook_id}", "webhook", VERSIONED)
CHANGE = "scenarios.change_webhook"
DELIVERIES_SHOWN = 5
INVALID_FIELDS = "Some fields are invalid: nothing was stored."
Line = Annotated[str, StringConstraints(pattern=ONE_LINE)]
Subscribable = Literal[
    "run.awaiting_approval", "run.started", "run.finished", "fault.outstanding", "fault.resolved"
]
Kind = Literal["webhook", "slack", "teams", "pagerduty", "email"]
ALL_EVENTS: tuple[Subscribable, ...] = get_args(Subscribable)


class WebhookInList(Schema):
    id: Int64
    name: str
    kind: Kind
    url: str
    key: str
    events: list[str]
    tags: list[str] = Field(
        description="Only for runs of stored scenarios with one of these tags; an empty list means all runs."
    )
    enabled: bool = Field(alias="is_enabled")
    disabled_because: str
    created_at: datetime
    changed_by: str | None

    @staticmethod
    def resolve_changed_by(row: Webhook) -> str | None:
        return row.changed_by.get_username() if row.changed_by else None


class WebhookDelivery(Schema):
    """`status` is the receiver's last HTTP status; null if it has not answered."""

    message: str
    state: DeliveryState
    tries: int
    status: int | None
    reason: str
    created_at: datetime


class WebhookDetails(WebhookInList):
    last_deliveries: list[WebhookDelivery] = Field(description="The newest first.")

    @staticmethod
    def resolve_last_deliveries(row: Webhook) -> list[Any]:
        return list(row.deliveries.defer("payload")[:DELIVERIES_SHOWN])


class WebhookWithSecret(WebhookDetails):
    secret: str = Field(description="Signs the messages of the kind webhook. It is shown only now.")


class WebhookPage(Schema):
    items: list[WebhookInList]
    next_cursor: str | None


class WebhookRequest(Body):
    """`events` are the messages to send; all that the kind has a use for if missing.

    `url` and `key` may be `${secret:NAME}`: then the secret is read before each message, and stored nowhere.
    """

    name: Line = Field(min_length=1, max_length=100)
    kind: Kind = Field("webhook", description="What the receiver understands.")
    url: Line = Field(
        min_length=1,
        max_length=500,
        description="For example https://hooks.example.com/runs; for e-mail mailto:oncall@example.com.",
    )
    key: str = Field(
        "", max_length=120, description="PagerDuty's routing key, as ${secret:NAME}; else empty."
    )
    events: list[Subscribable] | None = Field(None, min_length=1, max_length=len(ALL_EVENTS))
    tags: list[Line] = Field([], max_length=50)
    enabled: bool = True

    def apply_to(self, webhook: Webhook) -> Webhook:
        webhook.name, webhook.kind, webhook.url, webhook.key = self.name, self.kind, self.url, self.key
        usable = list_usable_events(self.kind)
        asked = self.events if self.events is not None else [name for name in ALL_EVENTS if name in usable]
        webhook.events, webhook.tags = list(dict.fromkeys(asked)), self.tags
        webhook.is_enabled = self.enabled
        return webhook


class TestResult(Schema):
    """The watchdog sends the message within a second; see the webhook's `last_deliveries` for the result."""

    message_id: str


@router.get("/webhooks", response={200: WebhookPage, **REFUSALS}, url_name="webhooks")
@needs("scenarios.view_webhook")
def list_webhooks(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    """List the webhooks, the oldest first."""
    return build_page(Webhook.objects.select_related("changed_by"), ORDER, filters)


@WEBHOOK.get(WebhookDetails, needs("scenarios.view_webhook"))
def get_webhook(request: HttpRequest, webhook_id: Path[RowId]) -> Webhook:
    """Show the webhook and its last deliveries."""
    return find_webhook(webhook_id)


# Takes no Idempotency-Key, because the response, which holds the secret, would be stored. A repeated
# request is refused, because the name is then taken.
@router.post("/webhooks", response={201: WebhookWithSecret, **REFUSALS, **BODY_REFUSALS, 409: Problem})
@needs("scenarios.add_webhook")
def create_webhook(
    request: HttpRequest, response: HttpResponse, body: WebhookRequest
) -> Status[WebhookWithSecret]:
    """Add a webhook. Its secret is shown only in this response."""
    caller = get_caller(request)
    webhook = body.apply_to(Webhook())
    secret = save_webhook(webhook, by=caller.user)
    response["Location"] = reverse("api:webhook", args=[webhook.pk])
    return Status(HTTPStatus.CREATED, describe_with_secret(webhook, secret))


@WEBHOOK.put(WebhookDetails, needs(CHANGE), creates=False, may_conflict=True)
@transaction.atomic
def put_webhook(request: HttpRequest, body: WebhookRequest, webhook_id: Path[RowId]) -> Webhook:
    """Replace all fields of the webhook; its secret stays."""
    caller = get_caller(request)
    webhook = body.apply_to(lock_webhook(webhook_id))
    save_webhook(webhook, by=caller.user)
    return webhook


@WEBHOOK.patch(WebhookDetails, needs(CHANGE), body="WebhookPatch", may_conflict=True)
@transaction.atomic
def patch_webhook(request: HttpRequest, webhook_id: Path[RowId]) -> Webhook:
    """Change some fields of the webhook, by JSON merge patch; its secret stays."""
    webhook = lock_webhook(webhook_id)
    current = {
        "name": webhook.name,
        "kind": webhook.kind,
        "url": webhook.url,
        "key": webhook.key,
        "events": webhook.events,
        "tags": webhook.tags,
        "enabled": webhook.is_enabled,
    }
    patch_request(request, WebhookRequest, current).apply_to(webhook)
    save_webhook(webhook, by=get_caller(request).user)
    return webhook


@WEBHOOK.delete(needs("scenarios.delete_webhook"), may_take_long=True)
def delete_webhook(request: HttpRequest, response: HttpResponse, webhook_id: Path[RowId]) -> Status[None]:
    """Delete the webhook and its deliveries; nothing more is sent to it.

    With more than 500 deliveries, it answers 202: the watchdog deletes the webhook, `Location` shows how far
    it is, and meanwhile the webhook is disabled and cannot be changed.
    """
    if delete_or_request(find_webhook(webhook_id), by=get_caller(request).user) is None:
        return Status(HTTPStatus.NO_CONTENT, None)
    response["Location"] = reverse("api:webhook_deletion", args=[webhook_id])
    return Status(HTTPStatus.ACCEPTED, None)


@WEBHOOK.act("test", TestResult, needs(CHANGE), url_name="webhook_test", status=202, may_conflict=True)
@transaction.atomic
def test_webhook(request: HttpRequest, webhook_id: Path[RowId]) -> Status[Any]:
    """Send a test message."""
    webhook = lock_webhook(webhook_id)
    if not webhook.is_enabled:
        raise ConflictError(f"Webhook {webhook.name!r} is disabled; enable it first.", ProblemCode.DISABLED)
    return Status(HTTPStatus.ACCEPTED, webhooks.send_test(webhook))


@router.post(
    "/webhooks/{webhook_id}/secret",
    response={200: WebhookWithSecret, **ITEM_REFUSALS},
    url_name="webhook_secret",
)
@needs(CHANGE)
@transaction.atomic
def change_secret(request: HttpRequest, webhook_id: Path[RowId]) -> WebhookWithSecret:
    """Make a new secret, shown only in this response. The previous one stays valid for 24 hours."""
    caller = get_caller(request)
    webhook = lock_webhook(webhook_id)
    secret = webhooks.change_secret(webhook, by=caller.user)
    return describe_with_secret(find_webhook(webhook_id), secret)


def lock_webhook(webhook_id: int) -> Webhook:
    """Keep others from deleting the webhook until the transaction ends."""
    Webhook.objects.select_for_update().filter(pk=webhook_id).first()
    return find_webhook(webhook_id)


def save_webhook(webhook: Webhook, *, by: User) -> str:
    try:
        with transaction.atomic():
            return webhooks.validate_and_save_webhook(webhook, by=by)
    except ReceiverRefused as error:
        problem = ProblemAt(path=f"body.{error.field}", message=str(error))
        raise RefusedError(INVALID_FIELDS, [problem]) from error
    except ValidationError as error:
        if any(found.code == webhooks.NAME_TAKEN for found in error.error_dict.get("name", ())):
            raise ConflictError(error.messages[0], ProblemCode.NAME_TAKEN) from error
        raise RefusedError(
            INVALID_FIELDS,
            [
                ProblemAt(path=f"body.{name}", message=" ".join(said))
                for name, said in error.message_dict.items()
            ],
        ) from error
    except IntegrityError as error:  # stored by another request at the same time
        raise ConflictError(
            f"A webhook named {webhook.name!r} already exists; choose another name.", ProblemCode.NAME_TAKEN
        ) from error


def describe_with_secret(webhook: Webhook, secret: str) -> WebhookWithSecret:
    described: Any = webhook
    described.secret = secret
    return WebhookWithSecret.model_validate(described)
