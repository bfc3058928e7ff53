"""How messages are signed: by the Standard Webhooks specification 1.0.0.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable

SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins, not one


def format_secret(key: bytes) -> str:
    """The key in the form that receivers' libraries accept."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def sign_message(keys: Iterable[bytes], message_id: str, timestamp: int, payload: bytes) -> dict[str, str]:
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
