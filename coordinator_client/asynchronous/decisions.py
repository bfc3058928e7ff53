"""Faults, approvals, webhooks and tokens."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from coordinator_client.asynchronous import deletions
from coordinator_client.asynchronous.transport import AsyncTransport
from coordinator_client.exchanges import MERGE_PATCH
from coordinator_client.parsing import parse
from coordinator_client.records import Approval, Deletion, Fault, Token, Webhook


class AsyncFaults:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(
        self,
        *,
        outstanding: bool = False,
        state: str = "",
        run: str = "",
        service: str = "",
        driver: str = "",
        limit: int | None = None,
    ) -> Sequence[Fault]:
        """The newest first; without a `limit` all of them, in as many requests as there are pages.

        `outstanding`: only those that may still be injected.
        """
        filters: dict[str, Any] = {"state": state, "run": run, "service": service, "driver": driver}
        filters["outstanding"] = outstanding or None
        return [parse(Fault, row) async for row in self._transport.items("faults", limit=limit, **filters)]

    async def iterate(
        self,
        *,
        outstanding: bool = False,
        state: str = "",
        run: str = "",
        service: str = "",
        driver: str = "",
        limit: int | None = None,
    ) -> AsyncIterator[Fault]:
        """As `list`, but each page is requested when its first fault is needed."""
        filters: dict[str, Any] = {"state": state, "run": run, "service": service, "driver": driver}
        filters["outstanding"] = outstanding or None
        async for row in self._transport.items("faults", limit=limit, **filters):
            yield parse(Fault, row)

    async def get(self, fault_id: int) -> Fault:
        return parse(Fault, await self._transport.json("GET", f"faults/{int(fault_id)}"))

    async def retry(self, fault_id: int) -> Fault:
        """Let the watchdog try the undo again, within a second."""
        return parse(Fault, await self._transport.json("POST", f"faults/{int(fault_id)}/retry"))

    async def acknowledge(self, fault_id: int, reason: str) -> Fault:
        """Close an outstanding fault on your responsibility."""
        path = f"faults/{int(fault_id)}/acknowledge"
        return parse(Fault, await self._transport.json("POST", path, body={"reason": reason}))


class AsyncApprovals:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(
        self, *, state: str = "", run: str = "", schedule: str = "", limit: int | None = None
    ) -> Sequence[Approval]:
        """Those that wait come first."""
        rows = self._transport.items("approvals", limit=limit, state=state, run=run, schedule=schedule)
        return [parse(Approval, row) async for row in rows]

    async def get(self, approval_id: int) -> Approval:
        """The approval with the steps that would be carried out."""
        return parse(Approval, await self._transport.json("GET", f"approvals/{int(approval_id)}"))

    async def approve(self, approval_id: int, reason: str = "") -> Approval:
        """Let it run.

        Raises:
            PermissionMissingError: the token's owner has requested it.
            ConflictError: nothing waits for it any more.
        """
        path = f"approvals/{int(approval_id)}/approve"
        return parse(Approval, await self._transport.json("POST", path, body={"reason": reason}))

    async def refuse(self, approval_id: int, reason: str) -> Approval:
        path = f"approvals/{int(approval_id)}/refuse"
        return parse(Approval, await self._transport.json("POST", path, body={"reason": reason}))


class AsyncWebhooks:
    """Requests whose response has the secret are not repeated: the server keeps no such response."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, *, limit: int | None = None) -> Sequence[Webhook]:
        return [parse(Webhook, row) async for row in self._transport.items("webhooks", limit=limit)]

    async def get(self, webhook_id: int) -> Webhook:
        return parse(Webhook, await self._transport.json("GET", f"webhooks/{int(webhook_id)}"))

    async def create(self, name: str, url: str, **fields: Any) -> Webhook:
        """Add a webhook; `secret` is shown only now. `fields`: `kind`, `key`, `events`, `tags`,
        `enabled`.
        """
        body = {"name": name, "url": url, **fields}
        return parse(Webhook, await self._transport.json("POST", "webhooks", body=body, repeatable=False))

    async def put(self, webhook_id: int, name: str, url: str, **fields: Any) -> Webhook:
        """Replace all fields; the secret stays."""
        body = {"name": name, "url": url, **fields}
        return parse(Webhook, await self._transport.json("PUT", f"webhooks/{int(webhook_id)}", body=body))

    async def patch(self, webhook_id: int, **fields: Any) -> Webhook:
        """Change these fields of a webhook; None resets one. The secret stays.

        Raises:
            ConflictError: another webhook has the name.
        """
        path, headers = f"webhooks/{int(webhook_id)}", {"Content-Type": MERGE_PATCH}
        return parse(Webhook, await self._transport.json("PATCH", path, body=fields, headers=headers))

    async def delete(self, webhook_id: int) -> Deletion | None:
        """Delete the webhook and its deliveries.

        Returns None if it is deleted, or how far the watchdog is, which deletes those with many deliveries.
        """
        return await deletions.delete_resource(self._transport, f"webhooks/{int(webhook_id)}")

    async def get_deletion(self, webhook_id: int) -> Deletion:
        """How far the watchdog is. Raises NotFoundError if it is deleted, or is not being deleted."""
        return await deletions.get_deletion(self._transport, f"webhooks/{int(webhook_id)}")

    async def withdraw_deletion(self, webhook_id: int) -> Deletion:
        """Keep it; returns how far the deletion was. Raises as `get_deletion`."""
        return await deletions.withdraw_deletion(self._transport, f"webhooks/{int(webhook_id)}")

    async def test(self, webhook_id: int) -> None:
        """Send a test message; `raw["last_deliveries"]` of the webhook shows the result."""
        await self._transport.json("POST", f"webhooks/{int(webhook_id)}/test")

    async def change_secret(self, webhook_id: int) -> Webhook:
        """Make a new `secret`, shown only now. The previous one stays valid for 24 hours."""
        path = f"webhooks/{int(webhook_id)}/secret"
        return parse(Webhook, await self._transport.json("POST", path, repeatable=False))


class AsyncTokens:
    """The tokens of this token's owner."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, *, limit: int | None = None) -> Sequence[Token]:
        return [parse(Token, row) async for row in self._transport.items("tokens", limit=limit)]

    async def revoke(self, token_id: int) -> None:
        """Revoke it for good. A token cannot revoke one that permits more."""
        await self._transport.json("DELETE", f"tokens/{int(token_id)}")
