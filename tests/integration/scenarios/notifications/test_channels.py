"""Messages to Slack, Microsoft Teams, PagerDuty and mailboxes have the form that each documents."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.domain.outcomes import Rollback
from scenarios.domain.webhooks import SUBSCRIBABLE, DeliveryState
from scenarios.models import Delivery, Fault, Webhook
from scenarios.notifications import addresses, webhooks
from scenarios.notifications.channels import pagerduty, slack, teams
from scenarios.notifications.channels.headline import Headline, Severity
from scenarios.notifications.dispatcher import Dispatcher
from scenarios.runs import faults
from tests.integration.scenarios.runs.outside_rows import a_message, a_webhook
from tests.integration.scenarios.story_rows import Telling
from tests.servers.documented_shapes import check_pagerduty, check_slack, check_teams
from tests.servers.mail_server import MailServer
from tests.servers.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
PAGERDUTY_EVENTS = sorted(pagerduty.EVENTS)
CHECKS = {"slack": check_slack, "teams": check_teams, "pagerduty": check_pagerduty}
HOSTILE = Headline(
    title="<!channel> [x](http://evil) |*`_~ \u202e & " + "a" * 5000,
    facts=tuple((f"Fact {number}", "<&>\n|" * 2000) for number in range(8)),
    severity=Severity.CRITICAL,
    link="https://coordinator.example.com/admin/",
    at="2026-01-01T12:00:00Z",
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().listening() as listening:
        yield listening


@pytest.fixture
def mail_server(settings: Settings) -> Iterator[MailServer]:
    server = MailServer()
    settings.EMAIL_URL = f"smtp://127.0.0.1:{server.port}"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.EMAIL_USE_TLS, settings.EMAIL_TIMEOUT = False, 120.0
    settings.WEBHOOK_ALLOWED_HOSTS = ["example.com"]
    with server.listening():
        yield server


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENARIO_SECRET_PAGERDUTY", ROUTING_KEY)


def send_due() -> None:
    async def look() -> None:
        dispatcher = Dispatcher()
        await dispatcher.look()
        while busy := dispatcher.under_way():
            await asyncio.wait(busy)

    asyncio.run(look())


def tell_a_run_that_leaves_a_fault() -> Telling:
    telling = Telling()
    telling.tell("run_started")
    telling.begin()
    telling.finish(Rollback.DIRTY)
    return telling


def make(kind: str, url: str) -> Webhook:
    if kind == "pagerduty":
        return a_webhook(url=url, kind=kind, key="${secret:PAGERDUTY}", events=PAGERDUTY_EVENTS)
    return a_webhook(url=url, kind=kind)


@pytest.mark.parametrize("kind", CHECKS)
def test_every_message_has_the_documented_form_and_a_link(receiver: Receiver, kind: str) -> None:
    webhook = make(kind, receiver.url)
    tell_a_run_that_leaves_a_fault()
    webhooks.send_test(webhook)
    send_due()
    bodies = receiver.messages()
    assert len(bodies) == {"slack": 4, "teams": 4, "pagerduty": 4}[kind]
    for body in bodies:
        CHECKS[kind](body)
        assert "/admin/" in json.dumps(body) or body.get("event_action") == "resolve"
    text = json.dumps(bodies, ensure_ascii=False)
    assert "Fault left behind: slow the exchange down on exchange" in text.replace("\\", "")
    assert not Delivery.objects.exclude(state=DeliveryState.DELIVERED).exists()
    assert all("webhook-signature" not in sent.headers for sent in receiver.requests)


@pytest.mark.parametrize("build", [slack.build_body, teams.build_body])
def test_text_of_others_becomes_neither_markup_nor_too_long(
    build: Callable[[Headline], dict[str, Any]],
) -> None:
    body = build(HOSTILE)
    CHECKS["slack" if build is slack.build_body else "teams"](body)
    text = json.dumps(body)
    assert "<!channel>" not in text
    assert "](http" not in text or build is slack.build_body  # Slack knows no such links


def test_pagerduty_resolves_what_it_opened(receiver: Receiver) -> None:
    make("pagerduty", receiver.url)
    telling = tell_a_run_that_leaves_a_fault()
    faults.acknowledge_fault(Fault.objects.get(run=telling.run), by="ann", reason="repaired by hand")
    send_due()
    opened_run, opened, resolved = receiver.messages()
    assert [sent["event_action"] for sent in (opened_run, opened, resolved)] == [
        "trigger",
        "trigger",
        "resolve",
    ]
    assert opened["dedup_key"] == resolved["dedup_key"] != opened_run["dedup_key"]
    assert opened["payload"]["severity"] == "critical"
    receiver.requests.clear()
    good = Telling()
    good.begin()
    good.finish()
    send_due()
    (closed,) = receiver.messages()
    assert (closed["event_action"], closed["dedup_key"]) == ("resolve", opened_run["dedup_key"])


def test_a_mail_says_in_its_subject_what_happened(mail_server: MailServer) -> None:
    webhook = a_webhook(url="mailto:oncall@example.com,q%2Ba@example.com", kind="email")
    tell_a_run_that_leaves_a_fault()
    send_due()
    assert mail_server.recipients[0] == ["oncall@example.com", "q+a@example.com"]
    subjects = [mail["Subject"] for mail in mail_server.mails]
    assert subjects[0] == "exchange-latency has started"
    assert subjects[-1] == "CRITICAL: Fault left behind: slow the exchange down on exchange"
    mail = mail_server.mails[-1]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "/admin/scenarios/fault/" in mail.get_content()
    last = Delivery.objects.filter(webhook=webhook).first()
    assert last is not None
    assert last.message_id in mail["Message-ID"]
    assert last.status == 250


def test_a_mail_that_is_refused_is_sent_again(mail_server: MailServer) -> None:
    a_webhook(url="mailto:oncall@example.com", kind="email")
    mail_server.refusal = "451 come back later"
    telling = Telling()
    telling.tell("run_started")
    send_due()
    waiting = Delivery.objects.get()
    assert (waiting.state, waiting.reason) == ("pending", "the mail server answered 451 come back later")
    mail_server.refusal = ""
    Delivery.objects.update(next_try_at=timezone.now())
    send_due()
    assert len(mail_server.mails) == 1


def test_a_mail_server_that_is_away_is_a_sentence(mail_server: MailServer, settings: Settings) -> None:
    a_webhook(url="mailto:oncall@example.com", kind="email")
    settings.EMAIL_PORT = 9
    Telling().tell("run_started")
    send_due()
    assert "the mail server did not take it: " in Delivery.objects.get().reason


def test_an_address_may_be_a_secret_that_nothing_shows(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SCENARIO_SECRET_SLACK", f"{receiver.url}/services/T0/B0/hush-hush-hush")
    webhook = a_webhook(url="${secret:SLACK}", kind="slack")
    receiver.statuses = [404]
    webhooks.send_test(webhook)
    send_due()
    delivery = Delivery.objects.get()
    assert receiver.requests[0].path == "/services/T0/B0/hush-hush-hush"
    assert "answered 404" in delivery.reason
    webhook.refresh_from_db()
    assert "hush" not in f"{delivery.reason} {webhook.url} {caplog.text}"


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"kind": "email", "url": "oncall@example.com"}, "url", "'mailto:oncall@example.com,qa@example.com'"),
        ({"kind": "email", "url": "mailto:oncall"}, "url", "Invalid mailbox 'oncall'"),
        ({"kind": "email", "url": "mailto:a@elsewhere.com"}, "url", "Host 'elsewhere.com' is not allowed"),
        ({"kind": "email", "url": "mailto:a@example.com?bcc=b@x.com"}, "url", "Invalid address"),
        (
            {"kind": "email", "url": "mailto:" + ",".join(["a@example.com"] * 51)},
            "url",
            "51 recipients are more",
        ),
        ({"kind": "slack", "url": "${secret:MISSING}"}, "url", "the secret 'MISSING' is missing"),
        ({"kind": "slack", "key": "x"}, "key", "takes no key"),
        ({"kind": "pagerduty", "key": ROUTING_KEY, "events": PAGERDUTY_EVENTS}, "key", r"\$\{secret:NAME\}"),
        ({"kind": "pagerduty", "key": "${secret:PAGERDUTY}"}, "events", "PagerDuty has no use for"),
    ],
)
def test_a_receiver_that_cannot_work_is_refused(
    mail_server: MailServer, changes: dict[str, Any], field: str, words: str
) -> None:
    fields = {"name": "chat", "url": "https://example.com/", "events": [*SUBSCRIBABLE], **changes}
    with pytest.raises(addresses.ReceiverRefused, match=words) as refused:
        webhooks.save_webhook(Webhook(**fields))
    assert refused.value.field == field
    assert ROUTING_KEY not in str(refused.value)
    assert not Webhook.objects.exists()


def test_mail_needs_a_server(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = ["example.com"]
    with pytest.raises(addresses.ReceiverRefused, match="set EMAIL_URL"):
        a_webhook(url="mailto:oncall@example.com", kind="email")


def test_retry_after_holds_for_the_receiver(receiver: Receiver) -> None:
    webhook = a_webhook(url=receiver.url)
    for _ in range(8):
        a_message(webhook)
    receiver.statuses, receiver.headers = [429, 200], {"Retry-After": "600"}
    send_due()
    assert len(receiver.requests) == 1
    send_due()
    assert len(receiver.requests) == 1
    Webhook.objects.update(wait_until=timezone.now())
    send_due()
    assert len(receiver.requests) == 8  # the first one waits for its own time


def test_a_retry_does_not_hold_back_what_is_new_and_a_fault_goes_first(receiver: Receiver) -> None:
    webhook = a_webhook(url=receiver.url)
    tried = [a_message(webhook) for _ in range(3)]
    Delivery.objects.update(tries=2, reason="it answered 500")
    new = a_message(webhook)
    fault = Delivery.objects.create(webhook=webhook, message="fault.outstanding", payload="{}")
    send_due()
    order = [sent.headers["webhook-id"] for sent in receiver.requests]
    assert order == [fault.message_id, new.message_id, *(delivery.message_id for delivery in tried)]
