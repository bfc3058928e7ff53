"""The approvals, webhooks and tokens of another coordinator, through its API."""

from collections.abc import Mapping, Sequence
from typing import Any

from coordinator_client.command_line.coordinator import NotFound
from coordinator_client.command_line.remote_registrations import (
    build_missing,
    explain_fields,
    explain_missing,
    refuse_person,
)
from coordinator_client.records import Approval, Deletion, Fault, Identity, Token, Webhook
from coordinator_client.synchronous.client import Client


class RemoteDecisions:
    _client: Client

    def acknowledge_fault(self, fault_id: int, reason: str) -> Fault:
        return self._client.faults.acknowledge(fault_id, reason)

    def list_approvals(self, state: str, limit: int) -> Sequence[Approval]:
        return self._client.approvals.list(state=state, limit=limit)

    def find_approval(self, approval_id: int) -> Approval:
        with explain_missing("approval", approval_id):
            return self._client.approvals.get(approval_id)

    def decide_approval(self, approval_id: int, reason: str, by: str, *, approved: bool) -> Approval:
        refuse_person(by)
        with explain_missing("approval", approval_id):
            approvals = self._client.approvals
            return (approvals.approve if approved else approvals.refuse)(approval_id, reason)

    def list_webhooks(self) -> Sequence[Webhook]:
        return self._client.webhooks.list()

    def find_webhook(self, name: str) -> Webhook:
        return self._client.webhooks.get(self._find_webhook(name).id)

    def add_webhook(
        self, name: str, url: str, events: Sequence[str], tags: Sequence[str], **kind: str
    ) -> Webhook:
        chosen = {"events": list(events)} if events else {}
        with explain_fields():
            return self._client.webhooks.create(name, url, tags=list(tags), **kind, **chosen)

    def change_webhook(self, name: str, changes: Mapping[str, Any]) -> Webhook:
        with explain_fields():
            return self._client.webhooks.patch(self._find_webhook(name).id, **changes)

    def remove_webhook(self, name: str) -> Deletion | None:
        return self._client.webhooks.delete(self._find_webhook(name).id)

    def keep_webhook(self, name: str) -> Deletion:
        return self._client.webhooks.withdraw_deletion(self._find_webhook(name).id)

    def test_webhook(self, name: str) -> None:
        self._client.webhooks.test(self._find_webhook(name).id)

    def change_webhook_secret(self, name: str) -> Webhook:
        return self._client.webhooks.change_secret(self._find_webhook(name).id)

    def _find_webhook(self, name: str) -> Webhook:
        found = next((webhook for webhook in self._client.webhooks.list() if webhook.name == name), None)
        if found is None:
            raise NotFound(build_missing("webhook", name))
        return found

    def list_tokens(self) -> Sequence[Token]:
        return self._client.tokens.list()

    def revoke_token(self, beginning: str) -> Token:
        found = find_token(self._client.tokens.list(), beginning)
        self._client.tokens.revoke(found.id)
        return found

    def whoami(self) -> Identity:
        return self._client.whoami()


def find_token(tokens: Sequence[Token], word: str) -> Token:
    """The only token with this number or beginning; the whole token is accepted, too.

    Raises:
        NotFound: there is none, or there are several.
    """
    shown = word.rstrip("…")
    found = [
        token
        for token in tokens
        if str(token.id) == word or (token.beginning and shown.startswith(token.beginning))
    ]
    if len(found) != 1:
        # The word may be a whole token, which must not be shown.
        raise NotFound(build_missing("token", shown[:11]))
    return found[0]
