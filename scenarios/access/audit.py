"""Writes who did what: requests that change something, logins, and commands on this machine.

A request is recorded after its response, so that nobody waits for this write. Where the database is away, the
entry is a line of the log.
"""

import logging
import re
from contextvars import ContextVar
from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.signals import request_finished
from django.db import DatabaseError, transaction
from django.http import HttpRequest

from scenarios.access.client_address import client_address
from scenarios.domain import log_context
from scenarios.models.audit import AuditEntry

logger = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# These read only: the editor asks them while somebody types.
READING_VIEWS = frozenset(
    {
        "admin:scenarios_scenario_draft",
        "admin:scenarios_suite_draft",
        "admin:scenarios_service_try",
        "admin:scenarios_service_try-query",
        "api:validate",
        "api:validate_suite",
        "api:translate",
    }
)
# Recorded by the signals below, which also know who has failed.
LOGIN_VIEWS = frozenset({"admin:login"})
# Of forms that also start something: these buttons only show what would happen.
READING_BUTTONS = frozenset({"dry_run", "show"})
# Of lists: these act only once a page that asks for a confirmation has sent `post`, and one only compares.
ASKING_ACTIONS = frozenset({"delete_selected", "run_selected", "add_tag", "remove_tag"})
READING_ACTIONS = frozenset({"compare_selected"})
VERBS = {"POST": "create", "PUT": "replace", "PATCH": "change", "DELETE": "delete"}
_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
# Of what was there before and after, each.
MAX_DETAIL = 2000
_pending: ContextVar[AuditEntry | None] = ContextVar("pending_audit_entry", default=None)
_detail: ContextVar[str] = ContextVar("audit_detail", default="")


def note_change(what: str, before: str, after: str) -> None:
    """Keep what was there before and after with the entry of the present request or command."""
    _detail.set(f"{what}: {_cut(before)} became {_cut(after)}")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_DETAIL else f"{text[:MAX_DETAIL]}… ({len(text)} characters)"


def _take_detail() -> str:
    detail = _detail.get()
    _detail.set("")
    return detail


def note_request(request: HttpRequest, status: int) -> None:
    """Remember what the request did, if it was one that changes something and its sender is known."""
    match, detail = request.resolver_match, _take_detail()
    if request.method in SAFE_METHODS or match is None or match.view_name in READING_VIEWS | LOGIN_VIEWS:
        return
    if match.view_name.startswith("admin:") and _only_asks(request, match.view_name):
        return
    caller = getattr(request, "caller", None)
    user = caller.user if caller is not None else getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return
    token = getattr(caller, "token", None)
    entrance = f"API, token {token.name}" if token is not None else _name_entrance(request)
    _pending.set(
        AuditEntry(
            who=user.get_username(),
            entrance=entrance[:120],
            action=describe_action(request)[:120],
            target=request.path[:300],
            result=describe_status(status),
            detail=detail if status < HTTPStatus.BAD_REQUEST else "",
            **_describe_origin(request),
        )
    )


def _only_asks(request: HttpRequest, view_name: str) -> bool:
    """Whether the form of a page changes nothing."""
    if not READING_BUTTONS.isdisjoint(request.POST):
        return True
    action = request.POST.get("action", "") if view_name.endswith("_changelist") else ""
    return action in READING_ACTIONS or (action in ASKING_ACTIONS and "post" not in request.POST)


def describe_action(request: HttpRequest) -> str:
    """In words, by the name of the view: 'run stop', 'service change', 'PUT: webhook replace'."""
    match = request.resolver_match
    assert match is not None  # noqa: S101 - the caller has looked
    name = match.view_name.removeprefix("admin:").removeprefix("api:").removeprefix("scenarios_")
    words = name.replace("_", " ").replace("-", " ")
    if match.view_name.startswith("api:"):
        return f"{words}: {VERBS.get(request.method or '', request.method)}"
    bulk = request.POST.get("action", "") if name.endswith("_changelist") else ""
    return f"{words.removesuffix(' changelist')}: {bulk.replace('_', ' ')}" if bulk else words


def describe_status(status: int) -> str:
    if status < HTTPStatus.BAD_REQUEST:
        return "done"
    try:
        return f"refused: {status} {HTTPStatus(status).phrase}"[:40]
    except ValueError:
        return f"refused: {status}"


def record_command(who: str, host: str, action: str, target: str, result: str) -> None:
    """Record a command of this machine's operating system user."""
    _write(
        AuditEntry(
            who=who[:150],
            entrance=f"command line of {host}"[:120],
            action=action[:120],
            target=target[:300],
            result=result[:40],
            detail=_take_detail(),
        )
    )


def record_duty(who: str, action: str, target: str, detail: str) -> None:
    """Record what the watchdog has done because of that person's request."""
    _write(
        AuditEntry(
            who=who[:150],
            entrance="watchdog",
            action=action[:120],
            target=target[:300],
            result="done",
            detail=detail,
        )
    )


def prune(before: datetime, *, at_most: int) -> int:
    """Delete entries that are older; return how many."""
    ids = list(AuditEntry.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)[:at_most])
    AuditEntry.objects.filter(pk__in=ids).delete()
    return len(ids)


def _name_entrance(request: HttpRequest) -> str:
    return "API, session" if request.path_info.startswith("/api/") else "control room"


def _describe_origin(request: HttpRequest | None) -> dict[str, str]:
    if request is None:
        return {}
    request_id = log_context.bound().get("request_id", "")
    return {"client": client_address(request)[:64], "request_id": request_id[:64]}


def _write(entry: AuditEntry) -> None:
    for name in ("who", "entrance", "action", "target", "client", "request_id", "detail"):
        # An address may hold what no database stores.
        setattr(entry, name, _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", getattr(entry, name)))
    try:
        with transaction.atomic():  # without harm to a transaction around it
            entry.save(force_insert=True)
    except DatabaseError:
        told = (entry.who, entry.entrance, entry.action, entry.target, entry.result)
        logger.exception("Not in the audit: %s (%s) %s %s: %s", *told)


def _write_pending(**_named: Any) -> None:
    if (entry := _pending.get()) is not None:
        _pending.set(None)
        _write(entry)


def _note_login(*, request: HttpRequest | None, user: Any, **_named: Any) -> None:
    _record_login(request, user.get_username(), "log in", "done")


def _note_logout(*, request: HttpRequest | None, user: Any, **_named: Any) -> None:
    if user is not None:
        _record_login(request, user.get_username(), "log out", "done")


def _note_failed_login(
    *, credentials: dict[str, Any], request: HttpRequest | None = None, **_named: Any
) -> None:
    _record_login(request, str(credentials.get("username", "")), "log in", "refused")


def _record_login(request: HttpRequest | None, who: str, action: str, result: str) -> None:
    if request is None:  # a program, or a test, that authenticates without a browser
        return
    _write(
        AuditEntry(who=who[:150], entrance="login", action=action, result=result, **_describe_origin(request))
    )


def connect() -> None:
    """Call once, when the models are loaded."""
    request_finished.connect(_write_pending, dispatch_uid="scenarios.access.audit")
    user_logged_in.connect(_note_login, dispatch_uid="scenarios.access.audit")
    user_logged_out.connect(_note_logout, dispatch_uid="scenarios.access.audit")
    user_login_failed.connect(_note_failed_login, dispatch_uid="scenarios.access.audit")
