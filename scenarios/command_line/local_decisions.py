"""The approvals, webhooks and tokens of this machine's coordinator, through the application functions."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Case, When

from coordinator_client.command_line.coordinator import CommandRefused, NotFound, NotPermitted
from coordinator_client.command_line.remote_decisions import find_token
from coordinator_client.command_line.remote_registrations import build_missing
from coordinator_client.parsing import parse
from coordinator_client.records import Approval, Deletion, Fault, Identity, Token, Webhook
from scenarios import models
from scenarios.access import tokens
from scenarios.command_line.local_deletions import describe_deletion, withdraw_deletion
from scenarios.command_line.local_errors import explain_errors
from scenarios.command_line.local_people import find_person
from scenarios.domain.errors import NotWaiting, OwnRequest
from scenarios.domain.outcomes import ApprovalState
from scenarios.domain.outputs import make_storable
from scenarios.domain.webhooks import SUBSCRIBABLE, WebhookKind
from scenarios.library.dry_run import list_steps
from scenarios.models.access import ApiToken
from scenarios.notifications import deliveries, dispatcher, webhooks
from scenarios.notifications.addresses import ReceiverRefused, list_usable_events
from scenarios.planning import approvals
from scenarios.published.records import format_time, json_fields, page_url, record_fault
from scenarios.runs import faults
from scenarios.runs.deletion_requests import delete_or_request

WHO = "the command line"
DELIVERIES_SHOWN = 5


class LocalDecisions:
    def acknowledge_fault(self, fault_id: int, reason: str) -> Fault:
        rows = models.Fault.objects.select_related("run").filter(pk=fault_id)
        if (row := rows.first()) is None:
            raise NotFound(f"There is no fault {fault_id!r}.")
        if not faults.acknowledge_fault(row, by=WHO, reason=str(make_storable(reason))):
            raise CommandRefused(
                f"Fault {fault_id} is {row.state}; only an outstanding fault can be acknowledged. "
                "If its undo is in progress, try again in a moment."
            )
        return parse(Fault, json_fields(record_fault(rows.get())))

    def list_approvals(self, state: str, limit: int) -> list[Approval]:
        is_pending = Case(When(state=ApprovalState.PENDING, then=1), default=0)
        rows = models.Approval.objects.select_related("run", "schedule").order_by(is_pending.desc(), "-id")
        rows = rows.filter(state=state) if state else rows
        return [parse(Approval, _list_fields(row)) for row in rows[:limit]]

    def find_approval(self, approval_id: int) -> Approval:
        row = _find_approval(approval_id)
        with explain_errors():
            plan = approvals.find_plan(row)
        steps = [asdict(step) for step in list_steps(plan)] if plan else []
        return parse(Approval, {**_list_fields(row), "steps": steps})

    def decide_approval(self, approval_id: int, reason: str, by: str, *, approved: bool) -> Approval:
        row = _find_approval(approval_id)
        reason = str(make_storable(reason)).strip()
        if not (reason or approved):
            raise CommandRefused("A refusal needs a reason: say what should be changed.")
        person = find_person(by, [approvals.PERMISSION])
        decide = approvals.approve if approved else approvals.refuse
        try:
            decide(row, by=person, reason=reason)
        except OwnRequest as error:
            raise NotPermitted(str(error)) from error
        except NotWaiting as error:
            raise CommandRefused(str(error)) from error
        return parse(Approval, _list_fields(_find_approval(approval_id)))

    def list_webhooks(self) -> list[Webhook]:
        return [_describe_webhook(row) for row in models.Webhook.objects.all()]

    def find_webhook(self, name: str) -> Webhook:
        row = _find_webhook(name)
        sent = row.deliveries.defer("payload")[:DELIVERIES_SHOWN]
        return _describe_webhook(row, last_deliveries=[_describe_delivery(delivery) for delivery in sent])

    def add_webhook(
        self, name: str, url: str, events: Sequence[str], tags: Sequence[str], **kind: str
    ) -> Webhook:
        known = [str(message) for message in SUBSCRIBABLE]
        if unknown := [event for event in events if event not in known]:
            raise CommandRefused(f"Unknown message {unknown[0]!r}; choose one of {', '.join(known)}.")
        usable = list_usable_events(kind.get("kind", WebhookKind.WEBHOOK))
        wanted = list(events) or [event for event in known if event in usable]
        webhook = models.Webhook(name=name, url=url, events=wanted, tags=list(tags), **kind)
        with _refusals():
            secret = webhooks.validate_and_save_webhook(webhook)
        return _describe_webhook(webhook, secret=secret)

    def change_webhook(self, name: str, changes: Mapping[str, Any]) -> Webhook:
        with transaction.atomic():
            webhook = _find_webhook(name)
            for field, value in changes.items():
                setattr(webhook, "is_enabled" if field == "enabled" else field, value)
            with _refusals():
                webhooks.validate_and_save_webhook(webhook)
        return _describe_webhook(webhook)

    def remove_webhook(self, name: str) -> Deletion | None:
        return describe_deletion(delete_or_request(_find_webhook(name), by=None))

    def keep_webhook(self, name: str) -> Deletion:
        return withdraw_deletion(_find_webhook(name))

    def test_webhook(self, name: str) -> None:
        webhook = _find_webhook(name)
        if not webhook.is_enabled:
            raise CommandRefused(f"Webhook {name!r} is disabled; enable it first.")
        with transaction.atomic():  # claimed before a watchdog sees it
            delivery = webhooks.send_test(webhook)
            deliveries.claim(delivery)
        asyncio.run(dispatcher.send(delivery))

    def change_webhook_secret(self, name: str) -> Webhook:
        webhook = _find_webhook(name)
        with transaction.atomic():
            secret = webhooks.change_secret(webhook)
        return _describe_webhook(_find_webhook(name), secret=secret)

    def list_tokens(self) -> list[Token]:
        return [_describe_token(row) for row in ApiToken.objects.select_related("owner")]

    def revoke_token(self, beginning: str) -> Token:
        found = find_token(self.list_tokens(), beginning)
        tokens.revoke_token(ApiToken.objects.get(pk=found.id))
        return found

    def whoami(self) -> Identity:
        """No user: the database itself is all that this command needs."""
        return parse(Identity, {"user": WHO, "token": None, "permissions": []})


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise CommandRefused(" ".join(error.messages)) from error
    except ReceiverRefused as error:
        raise CommandRefused(str(error)) from error


def _find_approval(approval_id: int) -> models.Approval:
    row = models.Approval.objects.select_related("run", "schedule").filter(pk=approval_id).first()
    if row is None:
        raise NotFound(build_missing("approval", approval_id))
    return row


def _list_fields(row: models.Approval) -> dict[str, Any]:
    about = row.run or row.schedule
    return {
        "id": row.pk,
        "state": row.state,
        "run": str(row.run_id) if row.run_id else None,
        "schedule": row.schedule.name if row.schedule else None,
        "scenario": about.scenario_name if about else "",
        "environment": about.environment if about else "",
        "services": row.services,
        "asked_by": row.asked_by_name,
        "asked_at": format_time(row.asked_at),
        "expires_at": format_time(row.expires_at) if row.expires_at else None,
        "decided_by": row.decided_by_name,
        "decided_at": format_time(row.decided_at) if row.decided_at else None,
        "reason": row.reason,
        "url": page_url(row),
    }


def _find_webhook(name: str) -> models.Webhook:
    if (row := models.Webhook.objects.filter(name=name).first()) is None:
        raise NotFound(build_missing("webhook", name))
    return row


def _describe_webhook(row: models.Webhook, **more: Any) -> Webhook:
    fields = {
        "id": row.pk,
        "name": row.name,
        "kind": row.kind,
        "url": row.url,
        "key": row.key,
        "events": row.events,
        "tags": row.tags,
        "enabled": row.is_enabled,
        "disabled_because": row.disabled_because,
    }
    return parse(Webhook, {**fields, **more})


def _describe_delivery(row: models.Delivery) -> dict[str, Any]:
    names = ("message", "state", "tries", "status", "reason")
    return {**{name: getattr(row, name) for name in names}, "created_at": format_time(row.created_at)}


def _describe_token(row: ApiToken) -> Token:
    times = {name: getattr(row, name) for name in ("created_at", "expires_at", "last_used_at")}
    return parse(
        Token,
        {
            "id": row.pk,
            "name": row.name,
            "beginning": row.beginning,
            "scopes": row.scopes,
            "state": row.state,
            "owner": row.owner.get_username(),
            **{name: format_time(moment) if moment else None for name, moment in times.items()},
        },
    )
