"""Messages to other systems and their signatures, following the Standard Webhooks specification 1.0.0.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from enum import StrEnum

SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins, not one


class Message(StrEnum):
    """The `type` of a message. A webhook can subscribe to all but the last two."""

    RUN_AWAITING_APPROVAL = "run.awaiting_approval"
    RUN_STARTED = "run.started"
    RUN_FINISHED = "run.finished"
    FAULT_OUTSTANDING = "fault.outstanding"
    FAULT_RESOLVED = "fault.resolved"
    TEST = "webhook.test"
    ANNOTATION = "grafana.annotation"


SUBSCRIBABLE = {
    Message.RUN_AWAITING_APPROVAL: "A run waits for a second person's approval",
    Message.RUN_STARTED: "A run starts (each attempt)",
    Message.RUN_FINISHED: "A run ends, whatever its outcome",
    Message.FAULT_OUTSTANDING: "A run ends and leaves a fault behind",
    Message.FAULT_RESOLVED: "A fault left behind is undone or acknowledged",
}


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


def format_secret(key: bytes) -> str:
    """The key in the form that receivers' libraries accept."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def build_headers(keys: Iterable[bytes], message_id: str, timestamp: int, payload: bytes) -> dict[str, str]:
    """The headers that sign the payload, with one signature per key so that keys can be rotated.

    `timestamp` is the time of the attempt in whole seconds of Unix time; `message_id` must not contain a dot.
    """
    content = f"{message_id}.{timestamp}.".encode() + payload
    digests = (hmac.digest(key, content, hashlib.sha256) for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }
