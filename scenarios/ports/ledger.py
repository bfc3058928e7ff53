"""Where every fault is written before it is injected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from scenarios.domain.outcomes import Rollback
from scenarios.domain.plan import Action, Proof, Step
from scenarios.domain.plan import FaultCall as FaultCall  # noqa: PLC0414 - a part of the contract of drivers


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the ledger. `key` identifies it, `order` is its place in the order of injection.

    If `host` is not empty, only a process of that host can undo it. `address` is where the undo's service
    was when it was injected. An injection that was not answered may arrive for `late_seconds` more.
    """

    key: int
    order: int
    phase: str
    action: str
    driver: str
    undo: Step
    timeout: float
    host: str = ""
    proof: Proof | None = None
    address: str = ""
    late_seconds: float = 0.0
    is_answered: bool = False
    lease_seconds: float = 0.0

    @property
    def is_leased(self) -> bool:
        """Whether it ends by itself, `lease_seconds` after its last renewal."""
        return self.lease_seconds > 0


@dataclass(frozen=True, slots=True)
class UndoResult:
    """`reason` says why the fault may still be there; "" if it was undone.

    `is_seen_gone`: its proof holds. `was_gone`: the undo found nothing to undo. `places`: the result by
    address. `began_at`: when the undo began.
    """

    reason: str = ""
    is_seen_gone: bool = False
    was_gone: bool = False
    places: Mapping[str, str] = field(default_factory=dict)
    began_at: datetime | None = None


class Ledger(Protocol):
    """Where every fault is written before it is injected. Each method has committed when it returns.

    Raises (each method):
        LeaseLost: another process has taken the run over.
    """

    async def open(
        self,
        *,
        phase: str,
        action: Action,
        address: str,
        late_seconds: float,
        lease_seconds: float = 0.0,
        touched: frozenset[str] = frozenset(),
    ) -> Fault:
        """Write the action's fault as `injecting`. Only after this may the injection start.

        `lease_seconds`: how long it lasts without being renewed; 0 if it does not end by itself.
        `touched`: what its undo touches, even if a secret hides that.
        """

    async def complete(self, fault: Fault) -> None:
        """Write the fault's undo and proof again: they now have what the injection's answer gave."""

    async def mark_active(self, fault: Fault) -> None: ...

    async def mark_not_injected(self, fault: Fault, reason: str) -> None: ...

    async def note_renewed(self, faults: Sequence[Fault], at: datetime) -> None:
        """Write when these leased faults were renewed, for people; nothing depends on it."""

    async def mark_lost(self, fault: Fault, reason: str) -> None:
        """Write that the target no longer has the fault, although nobody was meant to remove it."""

    async def mark_undone(self, fault: Fault, result: UndoResult) -> None:
        """Close the fault. One whose injection may still arrive stays, to be undone again."""

    async def mark_undo_failed(self, fault: Fault, result: UndoResult) -> None:
        """The fault stays in the ledger as `outstanding`."""

    async def remaining(self) -> Sequence[Fault]:
        """Faults of the run that have not been undone, the newest first."""

    async def due_again(self, at: datetime) -> Sequence[Fault] | None:
        """Faults that were undone, may still arrive, and are to be undone again by `at`.

        None if no fault of the run is awaited.
        """

    async def find_new_address(self, fault: Fault) -> str:
        """Where the undo's service is registered now; "" if it has not moved."""

    async def rollback(self) -> Rollback:
        """The rollback of the run: what is known about its faults."""

    def is_held(self) -> bool:
        """Whether the lease is good by this process's own clock, which goes on while it is stopped."""
