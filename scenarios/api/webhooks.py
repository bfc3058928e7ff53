"""Webhooks: who is told of runs, and whether they can be reached. A secret is answered once, never kept."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal, get_args

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Field, Path, Query, Router, Schema, Status
from ninja.decorators import decorate_view
from pydantic import StringConstraints

from scenarios.api.access import get_caller, needs
from scenarios.api.bodies import Body
from scenarios.api.description import BODY_REFUSALS, IDEMPOTENT, ITEM_REFUSALS, REFUSALS
from scenarios.api.idempotency import run_once
from scenarios.api.names import RowId, find_webhook
from scenarios.api.paging import Filters, Order, build_page
from scenarios.api.problems import ConflictError, Problem, ProblemAt, RefusedError
from scenarios.domain.webhooks import DeliveryState
from scenarios.models import Webhook
from scenarios.notifications import webhooks

router = Router(tags=["webhooks"])
ORDER = Order(("pk",), (int,))
CHANGE = "scenarios.change_webhook"
DELIVERIES_SHOWN = 5
INVALID_FIELDS = "It makes no sense so: nothing was stored."
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
Subscribable = Literal[
    "run.awaiting_approval", "run.started", "run.finished", "fault.outstanding", "fault.resolved"
]
ALL_EVENTS: tuple[Subscribable, ...] = get_args(Subscribable)


class WebhookInList(Schema):
    id: int
    name: str
    url: str
    events: list[str]
    tags: list[str] = Field(description="Only of stored scenarios with one of these; none: of all runs.")
    enabled: bool = Field(alias="is_enabled")
    disabled_because: str
    created_at: datetime
    changed_by: str | None

    @staticmethod
    def resolve_changed_by(row: Webhook) -> str | None:
        return row.changed_by.get_username() if row.changed_by else None


class WebhookDelivery(Schema):
    """`status` is what the receiver answered last; null where it has not."""

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
    secret: str = Field(description="What signs its messages. It is shown now, and never again.")


class WebhookPage(Schema):
    items: list[WebhookInList]
    next_cursor: str | None


class WebhookRequest(Body):
    """`events` are those of docs/integrations.md; left out, it is told of every one."""

    name: Line = Field(min_length=1, max_length=100)
    url: Line = Field(min_length=1, max_length=500, description="As https://hooks.example.com/runs.")
    events: list[Subscribable] = Field(list(ALL_EVENTS), min_length=1, max_length=len(ALL_EVENTS))
    tags: list[Line] = Field([], max_length=50)
    enabled: bool = True

    def given_to(self, webhook: Webhook) -> Webhook:
        webhook.name, webhook.url = self.name, self.url
        webhook.events, webhook.tags = list(dict.fromkeys(self.events)), self.tags
        webhook.is_enabled = self.enabled
        return webhook


class TestResult(Schema):
    """The watchdog sends it within a second; `last_deliveries` of the webhook tell how it ended."""

    message_id: str


@router.get("/webhooks", response={200: WebhookPage, **REFUSALS}, url_name="webhooks")
@needs("scenarios.view_webhook")
def list_webhooks(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    """The webhooks, the oldest first."""
    return build_page(Webhook.objects.select_related("changed_by"), ORDER, filters)


@router.get("/webhooks/{webhook_id}", response={200: WebhookDetails, **ITEM_REFUSALS}, url_name="webhook")
@needs("scenarios.view_webhook")
def get_webhook(request: HttpRequest, webhook_id: Path[RowId]) -> Webhook:
    """The webhook, and what came of its last deliveries."""
    return find_webhook(webhook_id)


# Without an Idempotency-Key: its answer would be kept, and the secret with it. Sent again, the name is taken.
@router.post("/webhooks", response={201: WebhookWithSecret, **REFUSALS, **BODY_REFUSALS, 409: Problem})
@needs("scenarios.add_webhook")
def create_webhook(
    request: HttpRequest, response: HttpResponse, body: WebhookRequest
) -> Status[WebhookWithSecret]:
    """Add a webhook. The answer holds its secret, this one time."""
    caller = get_caller(request)
    webhook = body.given_to(Webhook())
    secret = save_webhook(webhook, by=caller.user)
    response["Location"] = reverse("api:webhook", args=[webhook.pk])
    return Status(HTTPStatus.CREATED, describe_with_secret(webhook, secret))


@router.put(
    "/webhooks/{webhook_id}",
    response={200: WebhookDetails, **ITEM_REFUSALS, **BODY_REFUSALS, 409: Problem},
    openapi_extra=IDEMPOTENT,
)
@needs(CHANGE)
@decorate_view(run_once)
@transaction.atomic
def put_webhook(request: HttpRequest, body: WebhookRequest, webhook_id: Path[RowId]) -> Webhook:
    """Change the webhook whole; its secret stays."""
    caller = get_caller(request)
    webhook = body.given_to(lock_webhook(webhook_id))
    save_webhook(webhook, by=caller.user)
    return webhook


@router.delete("/webhooks/{webhook_id}", response={204: None, **ITEM_REFUSALS}, openapi_extra=IDEMPOTENT)
@needs("scenarios.delete_webhook")
@decorate_view(run_once)
def delete_webhook(request: HttpRequest, webhook_id: Path[RowId]) -> Status[None]:
    """Delete the webhook with its deliveries; nothing more is sent to it."""
    webhooks.delete_webhook(find_webhook(webhook_id))
    return Status(HTTPStatus.NO_CONTENT, None)


@router.post(
    "/webhooks/{webhook_id}/test",
    response={202: TestResult, **ITEM_REFUSALS, 409: Problem},
    url_name="webhook_test",
    openapi_extra=IDEMPOTENT,
)
@needs(CHANGE)
@decorate_view(run_once)
@transaction.atomic
def test_webhook(request: HttpRequest, webhook_id: Path[RowId]) -> Status[Any]:
    """Send it a message that tells nothing but that it arrives."""
    webhook = lock_webhook(webhook_id)
    if not webhook.is_enabled:
        raise ConflictError(f"Webhook {webhook.name!r} is disabled: nothing is sent to it.")
    return Status(HTTPStatus.ACCEPTED, webhooks.send_test(webhook))


@router.post(
    "/webhooks/{webhook_id}/secret",
    response={200: WebhookWithSecret, **ITEM_REFUSALS},
    url_name="webhook_secret",
)
@needs(CHANGE)
@transaction.atomic
def change_secret(request: HttpRequest, webhook_id: Path[RowId]) -> WebhookWithSecret:
    """Give it a new secret, answered this one time. For a day the one before signs as well."""
    caller = get_caller(request)
    webhook = lock_webhook(webhook_id)
    secret = webhooks.change_secret(webhook, by=caller.user)
    return describe_with_secret(find_webhook(webhook_id), secret)


def lock_webhook(webhook_id: int) -> Webhook:
    """The webhook, which nobody deletes until the transaction ends."""
    Webhook.objects.select_for_update().filter(pk=webhook_id).first()
    return find_webhook(webhook_id)


def save_webhook(webhook: Webhook, *, by: User) -> str:
    try:
        with transaction.atomic():
            return webhooks.validate_and_save_webhook(webhook, by=by)
    except webhooks.AddressRefused as error:
        raise RefusedError(INVALID_FIELDS, [ProblemAt(path="body.url", message=str(error))]) from error
    except ValidationError as error:
        raise RefusedError(
            INVALID_FIELDS,
            [
                ProblemAt(path=f"body.{name}", message=" ".join(said))
                for name, said in error.message_dict.items()
            ],
        ) from error
    except IntegrityError as error:  # another of the name was stored this moment
        raise ConflictError(f"There is a webhook {webhook.name!r} already.") from error


def describe_with_secret(webhook: Webhook, secret: str) -> WebhookWithSecret:
    described: Any = webhook
    described.secret = secret
    return WebhookWithSecret.model_validate(described)
