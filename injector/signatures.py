"""Requests that prove that their sender has the token, without containing it.

A request names a nonce that the proxy has made, and has a code of the nonce, the request and the token.
Others who read the request can neither find the token in it nor send it again.
"""

import hashlib
import hmac
import re
import secrets
import time
from urllib.parse import unquote

SCHEME = "HMAC-SHA256"
# Seconds from the answer with the nonce to the request that names it.
NONCE_SECONDS = 30.0
_FIELDS = re.compile(r"nonce=([0-9A-Za-z.-]{1,200}), mac=([0-9a-f]{64})")


def sign_request(token: str, nonce: str, method: str, path: str, body: bytes) -> str:
    """The code of the request, in hexadecimal. Clients differ in what they quote in the path."""
    parts = (nonce, method, unquote(path), hashlib.sha256(body).hexdigest())
    return _compute(token.encode(), "\n".join(parts))


def format_authorization(token: str, nonce: str, method: str, path: str, body: bytes) -> str:
    """The header `Authorization` of the request."""
    return f"{SCHEME} nonce={nonce}, mac={sign_request(token, nonce, method, path, body)}"


def parse_authorization(text: str) -> tuple[str, str] | None:
    """The nonce and the code in such a header, without its scheme; None if it is something else."""
    found = _FIELDS.fullmatch(text)
    return (found[1], found[2]) if found is not None else None


class Nonces:
    """Each nonce is valid for one request. Only used ones are remembered."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._used: dict[str, float] = {}

    def make(self) -> str:
        text = f"{time.monotonic():.3f}-{secrets.token_hex(8)}"
        return f"{text}-{_compute(self._key, text)}"

    def take(self, nonce: str) -> bool:
        """Whether the nonce is valid; it is used up now. Call it after the request has proved itself."""
        now = time.monotonic()
        for used in [used for used, at in self._used.items() if now - at > NONCE_SECONDS]:
            del self._used[used]
        text, _, code = nonce.rpartition("-")
        if not hmac.compare_digest(code, _compute(self._key, text)) or nonce in self._used:
            return False
        self._used[nonce] = now
        return now - float(text.partition("-")[0]) <= NONCE_SECONDS


def _compute(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
