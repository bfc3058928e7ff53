"""The client of the API against this process's own views: the same database transaction, and no server."""

from typing import Any

from django.test import Client as Browser

from coordinator_client.exchanges import Call, Response
from coordinator_client.synchronous.client import Client
from coordinator_client.synchronous.transport import Transport


class InProcessTransport(Transport):
    def _send(self, call: Call) -> Response:
        answered: Any = Browser().generic(
            call.method,
            f"/api/v1/{call.target}",
            call.content,
            content_type=call.headers.get("Content-Type", ""),
            headers={**call.headers, **self._headers},
        )
        headers = {name.lower(): value for name, value in answered.headers.items()}
        return Response(answered.status_code, headers, answered.content)


def in_process_client(token: str) -> Client:
    return Client("http://coordinator.test", token, transport=InProcessTransport)
