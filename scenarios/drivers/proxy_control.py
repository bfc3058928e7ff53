"""Requests to the control API of a fault proxy. The token itself does not travel.

People who may change services choose where these requests go: what is there gets no token, but a proof that
is good for one request.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from injector.signatures import format_authorization
from scenarios.domain.errors import StepImpossible, StepNotDone
from scenarios.domain.plan import origin
from scenarios.drivers.http_exchange import Answer, exchange

_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class TokenRefused(StepNotDone):
    """The proxy does not accept the token."""


class ProxyControl:
    """The control API at this address. `name` is that of the proxy in messages."""

    def __init__(self, name: str, address: str, token: str, seconds: float) -> None:
        self.name = name
        self.address = address
        self.token = token
        self.seconds = seconds

    async def ask(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Answer:
        """What the proxy answers. Its control API is exempt from the gate: what it breaks is the service's.

        Raises:
            StepImpossible: FAULT_PROXIES does not name it, or it is too old for it.
            StepNotSent: it cannot be reached.
            TokenRefused: it does not know the token.
            StepFailed: it did not answer.
        """
        is_named = self._require_named()
        body = b"" if content is None else json.dumps(content).encode()
        challenge = await self._send("GET", "/challenge", {}, b"")
        if nonce := _read_nonce(challenge):
            proof = format_authorization(self.token, nonce, method, path, body)
        elif challenge.status not in _REFUSED:
            return challenge  # it is not a fault proxy, whatever it is asked
        elif is_named:
            proof = f"Bearer {self.token}"
        else:
            raise StepImpossible(
                f"{self.name} answered {challenge.status} without a challenge: an earlier version needs the "
                f"token itself; update it, or name {origin(self.address)} in FAULT_PROXIES if it is yours"
            )
        answer = await self._send(method, path, {"Authorization": proof}, body)
        if answer.status in _REFUSED:
            raise TokenRefused(f"{self.name} does not accept the token")
        return answer

    def _require_named(self) -> bool:
        """Whether the settings name the address.

        Raises:
            StepImpossible: they name others alone.
        """
        named = {_normalize(address) for address in settings.FAULT_PROXIES}
        if named and _normalize(self.address) not in named:
            known = ", ".join(settings.FAULT_PROXIES)
            raise StepImpossible(f"{self.name} is not one of FAULT_PROXIES, which names {known}")
        return bool(named)

    async def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        return await exchange(
            method,
            f"{self.address.rstrip('/')}{path}",
            name=self.name,
            seconds=self.seconds,
            headers={**headers, "Content-Type": "application/json"},
            data=body or None,
        )


def _normalize(address: str) -> tuple[str, str, int]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)


def _read_nonce(answer: Answer) -> str:
    """The nonce of a fault proxy; "" from anything else."""
    try:
        nonce = json.loads(answer.body)["nonce"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return ""
    return nonce if answer.status == HTTPStatus.OK and isinstance(nonce, str) else ""
