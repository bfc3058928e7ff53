"""What the verb `allow-list` asks of a coordinator."""

from collections.abc import Sequence
from typing import Protocol

from coordinator_client.records import AllowList


class AllowLists(Protocol):
    """All methods may raise CoordinatorError."""

    def list_allow_lists(self) -> Sequence[AllowList]: ...

    def find_allow_list(self, name: str) -> AllowList: ...

    def save_allow_list(self, name: str, entries: Sequence[str] | None) -> AllowList:
        """Allow only these entries; with None, all that the coordinator's setting allows."""
        ...
