"""Signatures follow the Standard Webhooks specification."""

import base64
import json
import time

from standardwebhooks import Webhook

from scenarios.domain.webhook_signatures import format_secret, sign_message

PAYLOAD = b'{"type":"run.started"}'


def test_signature_of_the_published_example() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = sign_message([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_reference_library_accepts_both_of_two_keys() -> None:
    keys = [b"n" * 32, b"e" * 32]
    headers = sign_message(keys, "msg_1", int(time.time()), PAYLOAD)
    for key in keys:
        assert Webhook(format_secret(key)).verify(PAYLOAD, headers) == json.loads(PAYLOAD)
