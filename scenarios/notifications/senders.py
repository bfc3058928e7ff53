"""One message to one receiver, by HTTP: a webhook's, or Grafana."""

import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.utils import timezone

from scenarios.domain.errors import ScenarioError
from scenarios.domain.plan import origin
from scenarios.domain.retry_after import parse_retry_after
from scenarios.domain.webhooks import build_headers
from scenarios.drivers.http_exchange import Answer, exchange
from scenarios.models import Delivery, Webhook
from scenarios.notifications.webhooks import check_address, list_signing_keys

# As the specification recommends; a receiver that needs longer answers first and works then.
TIMEOUT_SECONDS = 15.0
SUCCESS = range(200, 300)
REDIRECTS = range(300, 400)


@dataclass
class NotTaken(ScenarioError):  # noqa: N818 - an answer
    """The receiver answered that it did not take the message; `wait` is the seconds that it asked for."""

    status: int
    reason: str
    wait: float = 0.0

    def __str__(self) -> str:
        return self.reason


async def send(delivery: Delivery) -> int:
    """Send it once; the status of the answer.

    Raises:
        NotTaken: the answer was none of success.
        ScenarioError: there was no answer, or nothing may be sent there.
    """
    if delivery.webhook is None:
        return await annotate(delivery)
    return await post(delivery, delivery.webhook)


async def post(delivery: Delivery, webhook: Webhook) -> int:
    check_address(webhook.url)
    payload = delivery.payload.encode()
    keys = list_signing_keys(webhook, timezone.now())
    signed = build_headers(keys, delivery.message_id, int(time.time()), payload)
    return await _send_checked("POST", webhook.url, data=payload, headers={**_JSON, **signed})


async def annotate(delivery: Delivery) -> int:
    """Grafana takes an annotation twice as two: after a try that may have arrived it is looked for first."""
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


_JSON = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "Test-Coordinator"}


def _annotations_url() -> str:
    return f"{settings.GRAFANA_URL}/api/annotations"


def _grafana_headers() -> dict[str, str]:
    return {**_JSON, "Authorization": f"Bearer {settings.GRAFANA_TOKEN}"}


async def _send_checked(method: str, url: str, **request: Any) -> int:
    answer = await _request(method, url, **request)
    if answer.status not in SUCCESS:
        where = " to another address, which is not followed" if answer.status in REDIRECTS else ""
        wait = parse_retry_after(answer.headers, timezone.now())
        raise NotTaken(answer.status, f"{origin(url)} answered {answer.status}{where}", wait)
    return answer.status


async def _request(method: str, url: str, **request: Any) -> Answer:
    return await exchange(method, url, name=origin(url), seconds=TIMEOUT_SECONDS, **request)


def _is_non_empty_list(text: str) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, list) and bool(found)
