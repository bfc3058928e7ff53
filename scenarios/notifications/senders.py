"""Sends one message to a webhook's receiver, to Grafana, or to a collector of traces."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.utils import timezone

from scenarios.domain.errors import ScenarioError
from scenarios.domain.outputs import dump_json
from scenarios.domain.own_threads import run_in_own_thread
from scenarios.domain.plan import origin
from scenarios.domain.retry_after import parse_retry_after
from scenarios.domain.webhook_signatures import sign_message
from scenarios.domain.webhooks import WebhookKind
from scenarios.drivers.http_exchange import Answer, exchange
from scenarios.models import Delivery, Webhook
from scenarios.notifications.addresses import read_address, read_key
from scenarios.notifications.channels import pagerduty, slack, teams
from scenarios.notifications.channels.headline import Headline, read_headline
from scenarios.notifications.channels.mail import MailNotSent, send_mail
from scenarios.notifications.webhooks import list_signing_keys

# As the Standard Webhooks specification recommends.
TIMEOUT_SECONDS = 15.0
# A mail server answers several times, each within EMAIL_TIMEOUT.
MAIL_SECONDS = 45.0
SUCCESS = range(200, 300)
REDIRECTS = range(300, 400)


@dataclass
class NotAccepted(ScenarioError):  # noqa: N818 - an answer
    """The receiver answered, but did not accept the message. `wait` is from Retry-After, in seconds."""

    status: int
    reason: str
    wait: float = 0.0

    def __str__(self) -> str:
        return self.reason


async def send(delivery: Delivery) -> int:
    """Send the delivery once and return the HTTP status.

    Raises:
        NotAccepted: the status is not 2xx.
        ScenarioError: there was no answer, or the address is not allowed.
    """
    if delivery.webhook is None:
        return await annotate(delivery)
    return await post(delivery, delivery.webhook)


async def post(delivery: Delivery, webhook: Webhook) -> int:
    """Send the message in the form of the webhook's kind."""
    address = read_address(webhook)
    if webhook.kind == WebhookKind.WEBHOOK:
        payload = delivery.payload.encode()
        keys = list_signing_keys(webhook, timezone.now())
        signed = sign_message(keys, delivery.message_id, int(time.time()), payload)
        return await _send_checked("POST", address, data=payload, headers={**_JSON, **signed})
    headline = read_headline(delivery.payload)
    if webhook.kind == WebhookKind.EMAIL:
        return await _send_mail(partial(send_mail, headline, address, delivery.message_id))
    status = 0
    for body in _build_bodies(delivery, webhook, headline):
        status = await _send_checked(
            "POST", address, data=dump_json(body, ensure_ascii=False).encode(errors="replace"), headers=_JSON
        )
    return status


async def _send_mail(sending: Callable[[], int]) -> int:
    try:
        async with asyncio.timeout(MAIL_SECONDS):
            return await run_in_own_thread(sending)
    except TimeoutError as error:
        raise MailNotSent(f"the mail server was not done within {MAIL_SECONDS:g} s") from error


def _build_bodies(delivery: Delivery, webhook: Webhook, headline: Headline) -> list[dict[str, Any]]:
    if webhook.kind == WebhookKind.SLACK:
        return [slack.build_body(headline)]
    if webhook.kind == WebhookKind.TEAMS:
        return [teams.build_body(headline)]
    return pagerduty.build_events(delivery.payload, headline, read_key(webhook), delivery.message_id)


async def annotate(delivery: Delivery) -> int:
    """Create the annotation. A retry looks for it first, because Grafana would store it twice."""
    if delivery.tries > 1:
        message = json.loads(delivery.payload)
        question = {"type": "annotation", "limit": 1, "tags": delivery.message_id}
        question |= {"from": message["time"] - 1, "to": message["timeEnd"] + 1}
        found = await _request(
            "GET", f"{_annotations_url()}?{urlencode(question)}", headers=_grafana_headers()
        )
        if found.status in SUCCESS and _is_non_empty_list(found.body):
            return found.status
    return await _send_checked(
        "POST", _annotations_url(), data=delivery.payload.encode(), headers=_grafana_headers()
    )


async def export(requests: Iterable[bytes]) -> int:
    """Send these parts of a trace one after the other, and return the last status."""
    headers = {**_PROTOBUF, **settings.TRACES_HEADERS}
    status = 0
    for body in requests:
        status = await _send_checked("POST", settings.TRACES_ENDPOINT, data=body, headers=headers)
    return status


_PROTOBUF = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "gzip",
    "User-Agent": "Test-Coordinator",
}
_JSON = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "Test-Coordinator"}


def _annotations_url() -> str:
    return f"{settings.GRAFANA_URL}/api/annotations"


def _grafana_headers() -> dict[str, str]:
    return {**_JSON, "Authorization": f"Bearer {settings.GRAFANA_TOKEN}"}


async def _send_checked(method: str, url: str, **request: Any) -> int:
    answer = await _request(method, url, **request)
    if answer.status not in SUCCESS:
        where = ", a redirect, which is not followed" if answer.status in REDIRECTS else ""
        wait = parse_retry_after(answer.headers, timezone.now())
        raise NotAccepted(answer.status, f"{origin(url)} answered {answer.status}{where}", wait)
    return answer.status


async def _request(method: str, url: str, **request: Any) -> Answer:
    return await exchange(method, url, name=origin(url), seconds=TIMEOUT_SECONDS, **request)


def _is_non_empty_list(text: str) -> bool:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, list) and bool(found)
