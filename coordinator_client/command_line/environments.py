"""What the verb `environment` asks of a coordinator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from coordinator_client.records import Environment


@dataclass(frozen=True, slots=True)
class EnvironmentRequest:
    """What to store of an environment; None leaves a value as it is, or empty."""

    name: str
    services: Mapping[str, Mapping[str, Any]] | None = None
    variables: Mapping[str, str] | None = None
    description: str | None = None


class Environments(Protocol):
    """All methods may raise CoordinatorError."""

    def list_environments(self) -> Sequence[Environment]: ...

    def find_environment(self, name: str) -> Environment: ...

    def save_environment(self, request: EnvironmentRequest, *, replace: bool) -> Environment:
        """Create an environment; change an existing one only with `replace`."""
        ...

    def remove_environment(self, name: str) -> None: ...
