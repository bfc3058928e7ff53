"""What the verbs `approval`, `webhook`, `token`, `acknowledge` and `whoami` ask of a coordinator."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from coordinator_client.records import Approval, Deletion, Fault, Identity, Token, Webhook


class Decisions(Protocol):
    """All methods may raise CoordinatorError."""

    place: str
    """Where the coordinator is: its address, or 'this machine'."""

    def acknowledge_fault(self, fault_id: int, reason: str) -> Fault:
        """Close an outstanding fault without an undo."""
        ...

    def list_approvals(self, state: str, limit: int) -> Sequence[Approval]: ...

    def find_approval(self, approval_id: int) -> Approval: ...

    def decide_approval(self, approval_id: int, reason: str, by: str, *, approved: bool) -> Approval:
        """Approve or refuse in the name of `by`, or if empty, of the caller."""
        ...

    def list_webhooks(self) -> Sequence[Webhook]: ...

    def find_webhook(self, name: str) -> Webhook:
        """The webhook with its last deliveries."""
        ...

    def add_webhook(
        self, name: str, url: str, events: Sequence[str], tags: Sequence[str], **kind: str
    ) -> Webhook:
        """Add a webhook; its secret is only in this response. `kind`: its `kind` and its `key`."""
        ...

    def change_webhook(self, name: str, changes: Mapping[str, Any]) -> Webhook:
        """Change these fields, under the names of the API; the secret stays."""
        ...

    def remove_webhook(self, name: str) -> Deletion | None:
        """None: it is deleted."""
        ...

    def keep_webhook(self, name: str) -> Deletion:
        """Withdraw its removal. Refused if it is not being deleted."""
        ...

    def test_webhook(self, name: str) -> None:
        """Let the watchdog send a test message."""
        ...

    def change_webhook_secret(self, name: str) -> Webhook: ...

    def list_tokens(self) -> Sequence[Token]: ...

    def revoke_token(self, beginning: str) -> Token:
        """Revoke the only token with this id or beginning."""
        ...

    def whoami(self) -> Identity: ...
