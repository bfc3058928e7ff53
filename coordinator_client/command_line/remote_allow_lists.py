"""The allow lists of another coordinator, through its API."""

from collections.abc import Sequence

from coordinator_client.command_line.remote_registrations import explain_fields, explain_missing
from coordinator_client.records import AllowList
from coordinator_client.synchronous.client import Client


class RemoteAllowLists:
    _client: Client

    def list_allow_lists(self) -> Sequence[AllowList]:
        return self._client.allow_lists.list()

    def find_allow_list(self, name: str) -> AllowList:
        with explain_missing("allow-list", name):
            return self._client.allow_lists.get(name)

    def save_allow_list(self, name: str, entries: Sequence[str] | None) -> AllowList:
        with explain_fields(), explain_missing("allow-list", name):
            return self._client.allow_lists.put(name, entries)
