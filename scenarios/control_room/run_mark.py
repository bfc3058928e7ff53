"""What a browser has seen of a run: its page asks with it whether anything has changed."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Self
from uuid import UUID
from zlib import crc32

from django.http import Http404

from scenarios.control_room.system_state import describe_lost_worker, describe_retries
from scenarios.control_room.waiting import find_waiting_reason
from scenarios.domain.outcomes import Rollback, RunState
from scenarios.models import Fault, Run

# What a mark is made of, and what a run waits for.
MARKED = (
    "state",
    "last_event",
    "stop_requested_at",
    "waiting_for",
    "begin_after",
    "priority",
    "queued_at",
    "lease_until",
    "rollback",
)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a browser has seen of a run: the newest event, whether it is stopping, what is said of who goes on
    with it.
    """

    event: int
    stopping: bool
    said: str = ""

    @classmethod
    def read(cls, word: str) -> Self:
        number, stopping, said = [*word.split("-", 2), "", ""][:3]
        return cls(int(number) if number.isdecimal() else 0, stopping == "stopping", said)

    @classmethod
    def of(cls, event: int, stop_requested_at: datetime | None, said: "Said") -> Self:
        sentences = "".join(said)
        digest = f"{crc32(sentences.encode()):x}" if sentences else ""
        return cls(event, stop_requested_at is not None, digest)

    def __str__(self) -> str:
        return f"{self.event}-{'stopping' if self.stopping else 'free'}-{self.said}"


class Said(NamedTuple):
    """Sentences, "" where they do not apply: why the run has not begun, that its worker is gone, and who
    retries the undo of its outstanding faults.
    """

    waiting: str
    lost: str
    retries: str

    @classmethod
    def of(cls, run: Run) -> Self:
        # A run that goes on retries them itself, and writes an event each time.
        may_be_left = run.state == RunState.FINISHED and run.rollback != Rollback.CLEAN
        left = Fault.objects.outstanding().filter(run=run).select_related("run") if may_be_left else ()
        return cls(find_waiting_reason(run), describe_lost_worker(run), describe_retries(left))


def find_mark(pk: UUID) -> Mark:
    run = Run.objects.filter(pk=pk).only(*MARKED).first()
    if run is None:
        raise Http404(f"there is no run {pk}")
    return Mark.of(run.last_event, run.stop_requested_at, Said.of(run))
