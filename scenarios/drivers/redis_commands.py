"""The commands that probes of Redis may send, and their answers as JSON values."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scenarios.domain.errors import StepFailed, StepImpossible
from scenarios.domain.expectations import format_value
from scenarios.drivers.redis_connections import Access, ask

if TYPE_CHECKING:
    from redis.asyncio import Connection

# They tell something about the server, which does not call them read-only.
_HARMLESS = frozenset({"PING", "ECHO", "INFO", "LASTSAVE", "ROLE", "TIME"})
_FLAGS = 2
_READ_ONLY = b"readonly"


def check_command(words: list[str | int | float]) -> list[str | int | float]:
    if not isinstance(words[0], str) or not words[0].strip():
        raise ValueError(f"{format_value(words[0])} is not a command: begin the list with one, as [GET, key]")
    return words


async def require_reading(access: Access, connection: "Connection", words: Sequence[str | float]) -> None:
    """Check that the command only reads, by what the server says of it.

    Raises:
        StepImpossible: it may change something, or the server does not know it.
    """
    name = str(words[0]).upper()
    if name in _HARMLESS:
        return
    described = await ask(access, connection, "COMMAND", "INFO", name)
    try:
        info = described[0]
        flags = (
            {flag if isinstance(flag, bytes) else str(flag).encode() for flag in info[_FLAGS]}
            if info
            else set()
        )
    except (TypeError, IndexError) as error:
        raise StepFailed(f"{access.name} described {name} in a way that cannot be read") from error
    if not info:
        raise StepImpossible(f"{access.name} does not know the command {name[:80]!r}")
    if _READ_ONLY not in flags:
        raise StepImpossible(f"{name[:80]!r} may change something: a probe sends only commands that read")


def to_json(answer: Any) -> Any:
    """An answer as redis-py returns it, as JSON has it."""
    if isinstance(answer, bytes):
        return answer.decode("utf-8", "replace")
    if isinstance(answer, list | tuple):
        return [to_json(part) for part in answer]
    return answer if answer is None or isinstance(answer, bool | int | float | str) else str(answer)
