"""What the verb `edit` asks of a coordinator."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Edited:
    """A stored document; `version` is what the coordinator compares before it is replaced."""

    name: str
    document: str
    version: str


class Editing(Protocol):
    """All methods may raise CoordinatorError."""

    def find_document(self, name: str) -> Edited:
        """Raises BeingDeleted if nobody can change it."""
        ...

    def replace_document(self, edited: Edited, document: str) -> None:
        """Store the document unless somebody has changed the stored one since.

        Raises:
            ChangedMeanwhile: somebody has.
            InvalidDocumentError: nothing was stored.
        """
        ...
