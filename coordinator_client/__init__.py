"""A client of Test Coordinator: `Client`, `AsyncClient`, and the command line `test-coordinator`."""

from typing import TYPE_CHECKING, Any

from coordinator_client.errors import (
    ConflictError,
    CoordinatorError,
    InvalidDocumentError,
    InvalidRequestError,
    InvalidVariablesError,
    NotAuthenticatedError,
    NotFoundError,
    NotSupportedError,
    NotUnderstoodError,
    PermissionMissingError,
    RefusedError,
    SettingsError,
    UnavailableError,
    UnexpectedAnswerError,
    WaitTimeoutError,
)
from coordinator_client.version import __version__

if TYPE_CHECKING:
    from coordinator_client.asynchronous.client import AsyncClient
    from coordinator_client.synchronous.client import Client

__all__ = [
    "AsyncClient",
    "Client",
    "ConflictError",
    "CoordinatorError",
    "InvalidDocumentError",
    "InvalidRequestError",
    "InvalidVariablesError",
    "NotAuthenticatedError",
    "NotFoundError",
    "NotSupportedError",
    "NotUnderstoodError",
    "PermissionMissingError",
    "RefusedError",
    "SettingsError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "WaitTimeoutError",
    "__version__",
]
CLIENTS = {"AsyncClient": "asynchronous", "Client": "synchronous"}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Imports a client when it is first used: the command line needs one of the two."""
    if name not in CLIENTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"coordinator_client.{CLIENTS[name]}.client"), name)
