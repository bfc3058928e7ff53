"""Messages reach a real receiver, signed; what it answers, or does not, is kept, and nobody waits for it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from metrics_app.backend import get_metrics
from scenarios.domain.webhooks import DeliveryState
from scenarios.drivers.http_exchange import Answer, exchange
from scenarios.models import Delivery, Webhook
from scenarios.notifications import deliveries, dispatcher, senders, webhooks
from scenarios.notifications.dispatcher import Dispatcher
from scenarios.supervision.watchdog import Watchdog
from tests.integration.scenarios.runs.outside_rows import a_message, a_webhook
from tests.integration.scenarios.story_rows import Telling
from tests.servers.certificates import Authority
from tests.servers.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)

PROJECT = Path(__file__).resolve().parents[4]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().listening() as listening:
        yield listening


@pytest.fixture
def send_due() -> Callable[[], None]:
    """One look of each of so many dispatchers, to the end of what they began."""

    async def look(dispatchers: int) -> None:
        dispatching = [Dispatcher() for _ in range(dispatchers)]
        for each in dispatching:
            await each.look()
        while busy := [task for each in dispatching for task in each.under_way()]:
            await asyncio.wait(busy)

    def send(dispatchers: int = 1) -> None:
        asyncio.run(look(dispatchers))

    return send


SendDue = Callable[..., None]


def test_messages_of_a_run_are_ordered_and_signed(receiver: Receiver, send_due: SendDue) -> None:
    webhook = Webhook(name="chat", url=f"{receiver.url}/hook?a=b", events=["run.started", "run.finished"])
    secret = webhooks.save_webhook(webhook)
    telling = Telling()
    telling.tell("run_started")
    telling.begin()
    telling.finish()
    send_due()
    verified = [Verifier(secret).verify(sent.body, sent.headers) for sent in receiver.requests]
    assert [message["type"] for message in verified] == ["run.started", "run.finished"]
    assert {sent.path for sent in receiver.requests} == {"/hook?a=b"}
    assert {delivery.state for delivery in Delivery.objects.all()} == {DeliveryState.DELIVERED}
    assert 'webhook_deliveries_total{instance="test-coordinator",result="delivered"' in exposition()


def exposition() -> str:
    return get_metrics().get_http_handler()().decode()


def test_concurrent_senders_send_each_message_once(receiver: Receiver, send_due: SendDue) -> None:
    webhook = a_webhook(url=receiver.url)
    for _ in range(10):
        webhooks.send_test(webhook)
    send_due(3)
    ids = [sent.headers["webhook-id"] for sent in receiver.requests]
    assert sorted(ids) == sorted(Delivery.objects.values_list("message_id", flat=True))


@pytest.mark.parametrize(
    ("status", "words"), [(500, "answered 500"), (302, "answered 302, a redirect"), (404, "404")]
)
def test_refused_message_is_retried_with_the_same_id(
    receiver: Receiver, send_due: SendDue, status: int, words: str
) -> None:
    a_message(a_webhook(url=receiver.url))
    receiver.statuses, receiver.headers = [status, 200], {"Location": "/elsewhere"}
    send_due()
    failed = Delivery.objects.get()
    assert (failed.state, failed.status, len(receiver.requests)) == (DeliveryState.PENDING, status, 1)
    assert words in failed.reason
    Delivery.objects.update(next_try_at=timezone.now())
    send_due()
    assert Delivery.objects.get().state == DeliveryState.DELIVERED
    assert len({sent.headers["webhook-id"] for sent in receiver.requests}) == 1
    assert len({sent.body for sent in receiver.requests}) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("by_date", [False, True])
def test_retry_after_is_respected(
    receiver: Receiver, send_due: SendDue, status: int, *, by_date: bool
) -> None:
    a_message(a_webhook(url=receiver.url))
    moment = format_datetime(timezone.now() + timedelta(seconds=600), usegmt=True)
    receiver.statuses, receiver.headers = [status], {"Retry-After": moment if by_date else "600"}
    send_due()
    assert Delivery.objects.get().next_try_at > timezone.now() + timedelta(seconds=500)


def test_hanging_receiver_does_not_delay_others(
    receiver: Receiver, send_due: SendDue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver().listening() as hanging:
        hanging.hangs = True

        async def ask(method: str, url: str, **words: Any) -> Answer:
            # Only that one is given up soon: the others may need long on a busy machine.
            seconds = 0.3 if url == hanging.url else 120.0
            return await exchange(method, url, **{**words, "seconds": seconds})

        monkeypatch.setattr(senders, "exchange", ask)
        for name, url in (
            ("hangs", hanging.url),
            ("well", receiver.url),
            ("not there", "http://127.0.0.1:1"),
        ):
            a_message(a_webhook(name, url))
        send_due()
    reasons = dict(Delivery.objects.values_list("webhook__name", "reason"))
    assert "did not answer within 300ms" in reasons["hangs"]
    assert "refused the connection" in reasons["not there"]
    assert (reasons["well"], len(receiver.requests)) == ("", 1)


def test_hundreds_of_hanging_receivers_delay_the_others_for_moments(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "QUICK_SECONDS", 0.05)
    monkeypatch.setattr(dispatcher, "MAX_QUICK_RECEIVERS", 10)
    monkeypatch.setattr(senders, "TIMEOUT_SECONDS", 600.0)
    with Receiver().listening() as hanging:
        hanging.hangs = True
        for number in range(60):
            a_message(a_webhook(f"hangs-{number}", f"{hanging.url}/{number}"))
        a_message(a_webhook("well", receiver.url))

        async def look_until_it_has_arrived() -> Dispatcher:
            dispatching = Dispatcher()
            while not receiver.requests:
                await dispatching.look()
                await asyncio.sleep(0.01)
            return dispatching

        async def look() -> None:
            dispatching = await look_until_it_has_arrived()
            assert len(dispatching.under_way()) >= 60  # none of them has ended
            hanging.over.set()
            await dispatching.settle()

        asyncio.run(look())
    assert len(receiver.requests) == 1


def test_receivers_that_were_quick_come_first_and_slow_ones_last(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "QUICK_SECONDS", 0.0)
    slow = a_webhook("slow", f"{receiver.url}/slow")
    a_message(slow)

    async def look() -> None:
        dispatching = Dispatcher()
        await dispatching.look()
        await asyncio.wait(dispatching.under_way())
        monkeypatch.setattr(dispatcher, "QUICK_SECONDS", 600.0)
        monkeypatch.setattr(dispatcher, "MAX_QUICK_RECEIVERS", 1)
        await sync_to_async(a_message)(slow)
        await sync_to_async(lambda: a_message(a_webhook("well", f"{receiver.url}/well")))()
        for _ in range(2):
            await dispatching.look()
            await asyncio.wait(dispatching.under_way())
        await sync_to_async(lambda: a_message(a_webhook("new", f"{receiver.url}/new")))()
        await sync_to_async(lambda: a_message(Webhook.objects.get(name="well")))()
        monkeypatch.setattr(dispatcher, "MAX_CONCURRENT_RECEIVERS", 0)
        await dispatching.look()
        await asyncio.wait(dispatching.under_way())

    asyncio.run(look())
    assert [sent.path for sent in receiver.requests] == ["/slow", "/well", "/slow", "/well"]


def test_receivers_that_learn_what_is_left_injected_come_first() -> None:
    plain, urgent = a_webhook("plain"), a_webhook("urgent")
    a_message(plain)
    late = Delivery.objects.create(webhook=urgent, message="fault.outstanding", payload="{}")
    Delivery.objects.filter(pk=late.pk).update(next_try_at=timezone.now())
    assert deliveries.list_due_receivers() == [urgent.pk, plain.pk]
    late.delete()
    a_message(urgent)
    assert deliveries.list_due_receivers() == [plain.pk, urgent.pk]


# One look of a dispatcher, to the end of what it began. A process reads SSL_CERT_FILE only once.
LOOK = """
import asyncio, sys
from django.conf import settings
settings.DATABASES["default"]["NAME"], settings.SECRET_KEY = sys.argv[1:]
import django
django.setup()
from scenarios.notifications.dispatcher import Dispatcher

async def look():
    dispatcher = Dispatcher()
    await dispatcher.look()
    while busy := dispatcher.under_way():
        await asyncio.wait(busy)
    await dispatcher.settle()

asyncio.run(look())
"""


def look_in_another_process(data: Path, settings: Settings, **environment: str) -> None:
    own = {**os.environ, "DJANGO_SETTINGS_MODULE": "coordinator_site.settings", "DATA_DIR": str(data)}
    own |= environment
    words = [str(connection.settings_dict["NAME"]), settings.SECRET_KEY]
    subprocess.run([sys.executable, "-c", LOOK, *words], cwd=PROJECT, env=own, check=True, timeout=300)


def test_a_receiver_with_a_certificate_of_a_private_authority_needs_ssl_cert_file(
    send_due: SendDue, tmp_path: Path, settings: Settings
) -> None:
    authority = Authority(tmp_path)
    with Receiver(authority.issue("localhost", "receiver.pem")).listening() as receiver:
        a_message(a_webhook(url=receiver.url))
        send_due()
        failed = Delivery.objects.get()
        assert (failed.state, receiver.requests) == (DeliveryState.PENDING, [])
        assert "has a certificate that is not trusted: " in failed.reason
        assert "unable to get local issuer certificate" in failed.reason
        Delivery.objects.update(next_try_at=timezone.now())
        look_in_another_process(tmp_path, settings, SSL_CERT_FILE=str(authority.path))
    assert (Delivery.objects.get().state, len(receiver.requests)) == (DeliveryState.DELIVERED, 1)


def test_endless_answers_are_not_read_completely(receiver: Receiver, send_due: SendDue) -> None:
    webhooks.send_test(a_webhook(url=receiver.url))
    receiver.body = b"x" * 20_000_000
    send_due()
    assert Delivery.objects.get().state == DeliveryState.DELIVERED


def test_address_that_is_no_longer_allowed_gets_nothing(
    receiver: Receiver, send_due: SendDue, settings: Settings
) -> None:
    webhooks.send_test(a_webhook(url=receiver.url))
    settings.WEBHOOK_ALLOWED_HOSTS = (".example.com",)
    send_due()
    assert (
        "Host '127.0.0.1' is not allowed; the setting WEBHOOK_ALLOWED_HOSTS allows .example.com"
        in Delivery.objects.get().reason
    )
    assert receiver.requests == []


def test_nothing_is_signed_after_secret_key_has_changed(
    receiver: Receiver, send_due: SendDue, settings: Settings
) -> None:
    webhooks.send_test(a_webhook(url=receiver.url))
    settings.SECRET_KEY = "another one"
    send_due()
    assert "SECRET_KEY has changed" in Delivery.objects.get().reason
    assert receiver.requests == []


def test_both_secrets_sign_for_a_day(receiver: Receiver, send_due: SendDue) -> None:
    webhook = Webhook(name="chat", url=receiver.url, events=[])
    before, after = webhooks.save_webhook(webhook), webhooks.change_secret(webhook)
    webhooks.send_test(webhook)
    send_due()
    Webhook.objects.update(secret_changed_at=timezone.now() - timedelta(hours=25))
    webhooks.send_test(webhook)
    send_due()
    soon, later = receiver.requests
    for secret, message in ((before, soon), (after, soon), (after, later)):
        Verifier(secret).verify(message.body, message.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(before).verify(later.body, later.headers)


def test_watchdog_does_not_wait_for_receivers(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "TIMEOUT_SECONDS", 600.0)
    webhooks.send_test(a_webhook(url=receiver.url))
    receiver.hangs = True

    async def one_round() -> None:
        watchdog = Watchdog()
        await watchdog.look()
        assert (await Delivery.objects.aget()).state == DeliveryState.PENDING
        await asyncio.to_thread(receiver.wait_for, 1)
        receiver.over.set()
        await watchdog.settle()

    asyncio.run(one_round())
    assert Delivery.objects.get().state == DeliveryState.DELIVERED


def test_annotation_has_the_form_of_grafanas_api(
    receiver: Receiver, send_due: SendDue, settings: Settings
) -> None:
    a_window(settings, receiver)
    receiver.body = b'{"message":"Annotation added","id":1}'
    send_due()
    [request] = receiver.requests
    assert (request.method, request.path) == ("POST", "/grafana/api/annotations")
    assert request.headers["authorization"] == "Bearer glsa_made_up"
    assert request.headers["content-type"] == "application/json"
    message = request.json()
    kinds = {name: type(value) for name, value in message.items()}
    assert kinds == {"time": int, "timeEnd": int, "tags": list, "text": str}
    assert 'grafana_annotations_total{instance="test-coordinator",result="delivered"' in exposition()


def a_window(settings: Settings, receiver: Receiver) -> None:
    settings.GRAFANA_URL, settings.GRAFANA_TOKEN = f"{receiver.url}/grafana", "glsa_made_up"
    telling = Telling()
    telling.begin()
    telling.finish()


@pytest.mark.parametrize(("found", "methods"), [(b'[{"id": 1}]', ["GET"]), (b"[]", ["GET", "POST"])])
def test_retried_annotation_is_looked_for_first(
    receiver: Receiver, send_due: SendDue, settings: Settings, found: bytes, methods: list[str]
) -> None:
    a_window(settings, receiver)
    Delivery.objects.update(tries=1)  # the process that claimed it died
    receiver.body = found
    send_due()
    assert [request.method for request in receiver.requests] == methods
    tag = json.loads(Delivery.objects.get().payload)["tags"][-1]
    assert f"tags={tag}" in receiver.requests[0].path
    assert Delivery.objects.get().state == DeliveryState.DELIVERED
