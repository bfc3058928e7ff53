"""The verb `webhook`, with list, show, add, set, enable, disable, test, secret, remove and keep."""

import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.coordinator import CommandRefused
from coordinator_client.command_line.deletions import show_deletion, show_kept
from coordinator_client.command_line.terminal import escape_text
from coordinator_client.command_line.verbs import Session, add_completed, add_group, add_verb
from coordinator_client.command_line.wording import format_count, quote_command
from coordinator_client.records import WEBHOOK_EVENTS, WEBHOOK_KINDS, Delivery

MAX_TEST_SECONDS, TEST_POLL_SECONDS = 30.0, 0.5
SECRET_NOTE = "Store the secret safely; it is not shown again."  # noqa: S105 - a sentence


def add_to(verbs: Any) -> None:
    verbs = add_group(verbs, "webhook", "Send messages about runs to other programs.")
    add_verb(verbs, list_webhooks, "list", "List the webhooks.")
    add = add_verb(verbs, add_webhook, "add", "Add a webhook and print its secret, which is shown once.")
    add.add_argument("name", metavar="NAME", help="The webhook's name.")
    _add_fields(add, is_new=True)
    help_text = "Change what the options name of a webhook, and keep the rest and its secret."
    change = add_verb(verbs, set_webhook, "set", help_text)
    _add_name(change)
    _add_fields(change, is_new=False)
    for function, name, help_text, aliases in (
        (show_webhook, "show", "Show a webhook, and what was sent last.", ()),
        (enable_webhook, "enable", "Send messages to a webhook again.", ()),
        (disable_webhook, "disable", "Send nothing more to a webhook until it is enabled.", ()),
        (test_webhook, "test", "Send a test message, and show what the receiver says.", ()),
        (change_secret, "secret", "Make a new secret; the previous one stays valid for 24 hours.", ()),
        (remove_webhook, "remove", "Remove a webhook; nothing more is sent to it.", ("delete",)),
        (keep_webhook, "keep", "Withdraw the removal of a webhook that goes on.", ()),
    ):
        _add_name(add_verb(verbs, function, name, help_text, aliases=aliases))


def _add_name(parser: ArgumentParser) -> None:
    completer = completion.complete_webhooks
    add_completed(parser, "name", completer, metavar="NAME", help_text="The webhook's name.")


def _add_fields(parser: ArgumentParser, *, is_new: bool) -> None:
    """Without defaults where they change what is stored."""
    parser.add_argument(
        "--url",
        required=is_new,
        help="Such as https://hooks.example.com/runs or mailto:oncall@example.com.",
    )
    parser.add_argument(
        "--kind",
        choices=WEBHOOK_KINDS,
        default="webhook" if is_new else None,
        help="What the receiver understands.",
    )
    parser.add_argument(
        "--key",
        default="" if is_new else None,
        help="The routing key, only for PagerDuty; write '${secret:NAME}'.",
    )
    default = " (default: all)" if is_new else ""
    parser.add_argument(
        "--event",
        action="append",
        default=[],
        choices=WEBHOOK_EVENTS,
        metavar="EVENT",
        dest="events",
        help=f"Send only this message: {', '.join(WEBHOOK_EVENTS)}; can be repeated{default}.",
    )
    every = "" if is_new else " '' sends for all scenarios."
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        dest="tags",
        help=f"Send only for scenarios with this tag; can be repeated.{every}",
    )


def list_webhooks(session: Session, **_options: Any) -> int:
    found = session.coordinator.list_webhooks()
    columns = {
        "Name": [webhook.name for webhook in found],
        "Kind": [webhook.kind for webhook in found],
        "URL": [webhook.url for webhook in found],
        "Messages": [", ".join(webhook.events) for webhook in found],
        "State": [
            "enabled" if webhook.enabled else f"disabled {webhook.disabled_because}".strip()
            for webhook in found
        ],
    }
    session.terminal.rows(found, columns, empty="There are no webhooks.")
    return exit_codes.DONE


def show_webhook(session: Session, name: str, **_options: Any) -> int:
    found = session.coordinator.find_webhook(name)
    state = "enabled" if found.enabled else f"disabled {found.disabled_because}".strip()
    lines = [
        f"[bold]{escape_text(found.name)}[/bold], {escape_text(found.url)}: {escape_text(state)}",
        f"Messages: {escape_text(', '.join(found.events))}",
        *([f"Tags: {escape_text(', '.join(found.tags))}"] if found.tags else []),
    ]
    for sent in found.last_deliveries:
        words = f"{sent.message}: {sent.state}, {format_count(sent.tries, 'try', 'tries')}"
        status = f", status {sent.status}" if sent.status else ""
        reason = f": {sent.reason}" if sent.reason else ""
        lines.append(f"{sent.created_at:%Y-%m-%d %H:%M:%S} UTC  {escape_text(words + status + reason)}")
    session.terminal.result(found, "\n".join(lines))
    return exit_codes.DONE


def add_webhook(
    session: Session,
    *,
    name: str,
    url: str,
    events: list[str],
    tags: list[str],
    kind: str,
    key: str,
    **_options: Any,
) -> int:
    added = session.coordinator.add_webhook(name, url, events, tags, kind=kind, key=key)
    if added.secret:
        session.terminal.errors.print(SECRET_NOTE)
    session.terminal.result(added, escape_text(added.secret or f"Webhook {added.name} is added."))
    return exit_codes.DONE


def set_webhook(session: Session, *, name: str, events: list[str], tags: list[str], **options: Any) -> int:
    changes = {word: options[word] for word in ("url", "kind", "key") if options[word] is not None}
    if events:
        changes["events"] = list(dict.fromkeys(events))
    if tags:
        changes["tags"] = [tag for tag in tags if tag]
    if not changes:
        raise CommandRefused("Say what to change, for example '--url https://hooks.example.com/runs'.")
    return _change(session, name, changes, "is changed")


def enable_webhook(session: Session, name: str, **_options: Any) -> int:
    return _change(session, name, {"enabled": True}, "is enabled")


def disable_webhook(session: Session, name: str, **_options: Any) -> int:
    return _change(session, name, {"enabled": False}, "is disabled")


def _change(session: Session, name: str, changes: Mapping[str, Any], state: str) -> int:
    changed = session.coordinator.change_webhook(name, changes)
    session.terminal.result(changed, f"Webhook {escape_text(name)} {state}.")
    return exit_codes.DONE


def change_secret(session: Session, name: str, **_options: Any) -> int:
    changed = session.coordinator.change_webhook_secret(name)
    session.terminal.errors.print(SECRET_NOTE)
    session.terminal.result(changed, escape_text(changed.secret))
    return exit_codes.DONE


def test_webhook(session: Session, name: str, **_options: Any) -> int:
    """Wait for what the receiver says, as somebody does who tries whether it works."""
    earlier = {found.created_at for found in _find_tests(session, name)}
    session.coordinator.test_webhook(name)
    until = time.monotonic() + MAX_TEST_SECONDS
    while True:
        sent = next((found for found in _find_tests(session, name) if found.created_at not in earlier), None)
        if (sent is not None and sent.tries) or time.monotonic() > until:
            return _show_test(session, name, sent)
        time.sleep(TEST_POLL_SECONDS)


def _find_tests(session: Session, name: str) -> list[Delivery]:
    found = session.coordinator.find_webhook(name).last_deliveries
    return [delivery for delivery in found if delivery.message == "webhook.test"]


def _show_test(session: Session, name: str, sent: Delivery | None) -> int:
    is_well = sent is not None and sent.state == "delivered"
    facts = {"webhook": name, "sent": sent is not None, "ok": is_well}
    if sent is None or not sent.tries:
        look = quote_command(f"webhook show {name}")
        sentence = f"The test message for {name} is not sent yet; is a watchdog running? {look} shows it."
    elif is_well:
        sentence = f"{name}: accepted{f' with status {sent.status}' if sent.status else ''}."
    else:
        sentence = f"{name}: {sent.reason or f'status {sent.status}'}"
    if sent is not None:
        facts |= {"state": sent.state, "status": sent.status, "reason": sent.reason}
    if session.terminal.wants_json:
        session.terminal.document(facts)
    elif is_well:
        session.terminal.say(escape_text(sentence))
    else:
        session.terminal.complain(sentence)
    return exit_codes.DONE if is_well else exit_codes.WRONG


def remove_webhook(session: Session, name: str, **_options: Any) -> int:
    if (deletion := session.coordinator.remove_webhook(name)) is not None:
        return show_deletion(session.terminal, deletion, f"webhook keep {name}")
    session.terminal.result({"removed": name}, f"Webhook {escape_text(name)} is removed.")
    return exit_codes.DONE


def keep_webhook(session: Session, name: str, **_options: Any) -> int:
    return show_kept(session.terminal, session.coordinator.keep_webhook(name))
