"""The stages of a run in the engine, and what moves it from one to the next: no tasks, no clock, no I/O."""

from collections.abc import Mapping
from enum import StrEnum

from scenarios.domain.outcomes import Outcome, Rollback, Verdict

# The reason of a run that has passed.
ALL_HELD = "every validation held"
NOTHING_CHECKED = "nothing has failed, but the scenario checks nothing"


class Stage(StrEnum):
    NEW = "new"  # nothing has been done
    RUNNING = "running"  # the phases are carried out
    STOPPING = "stopping"  # the phases are over, or unwind because they were cancelled; nothing is undone yet
    UNDOING = "undoing"  # the faults that the ledger holds are being undone
    CLOSING = "closing"  # no more undo is begun; the rollback is read from the ledger
    ENDED = "ended"  # the verdict is known
    LOST = "lost"  # another process has taken the run over, with its faults: nothing is written any more
    CUT_OFF = "cut_off"  # nobody may have, but the ledger cannot be reached: nothing can be written


class Signal(StrEnum):
    """The first five come from the engine as it goes on, the others from outside, at any moment."""

    BEGIN = "begin"
    PHASES_OVER = "phases over"
    START_UNDO = "start undo"
    UNDO_OVER = "undo over"
    FINISH = "finish"

    END = "end"
    SHUT_DOWN = "shut down"
    LOSE = "lose"
    CUT_OFF = "cut off"


FROM_OUTSIDE = (Signal.END, Signal.SHUT_DOWN, Signal.LOSE, Signal.CUT_OFF)


def _row(stage: Stage, **moves: Stage) -> Mapping[Signal, Stage]:
    """LOST and CUT_OFF can be reached from every stage; other signals from outside do not change it."""
    stays = {
        Signal.END: stage,
        Signal.SHUT_DOWN: stage,
        Signal.LOSE: Stage.LOST,
        Signal.CUT_OFF: Stage.CUT_OFF,
    }
    return stays | {Signal[name.upper()]: to for name, to in moves.items()}


TRANSITIONS: Mapping[Stage, Mapping[Signal, Stage]] = {
    Stage.NEW: _row(Stage.NEW, begin=Stage.RUNNING, end=Stage.STOPPING, shut_down=Stage.STOPPING),
    Stage.RUNNING: _row(
        Stage.RUNNING, phases_over=Stage.STOPPING, end=Stage.STOPPING, shut_down=Stage.STOPPING
    ),
    Stage.STOPPING: _row(
        Stage.STOPPING,
        begin=Stage.STOPPING,
        phases_over=Stage.STOPPING,
        start_undo=Stage.UNDOING,
        undo_over=Stage.CLOSING,
    ),
    Stage.UNDOING: _row(Stage.UNDOING, undo_over=Stage.CLOSING),
    Stage.CLOSING: _row(Stage.CLOSING, finish=Stage.ENDED),
    Stage.ENDED: _row(Stage.ENDED),
    Stage.LOST: dict.fromkeys(Signal, Stage.LOST) | {Signal.CUT_OFF: Stage.CUT_OFF},
    Stage.CUT_OFF: dict.fromkeys(Signal, Stage.CUT_OFF),
}
# Where the signal cancels the task that is under way, be it the phases or the rollback.
_CANCELLING = {
    (Stage.RUNNING, Signal.END),
    (Stage.RUNNING, Signal.SHUT_DOWN),
    (Stage.UNDOING, Signal.SHUT_DOWN),
}


class Stages:
    """Where a run is, why it ends, and whether what goes on must be cancelled.

    ========  =======  ===========  ==========  =========  ======  =========  =========  ======  ========
    stage     begin    phases over  start undo  undo over  finish  end        shut down  lose    cut off
    ========  =======  ===========  ==========  =========  ======  =========  =========  ======  ========
    NEW       RUNNING  .            .           .          .       STOPPING   STOPPING   LOST!   CUT_OFF!
    RUNNING   .        STOPPING     .           .          .       STOPPING!  STOPPING!  LOST!   CUT_OFF!
    STOPPING  stays    stays        UNDOING     CLOSING    .       stays      stays      LOST!   CUT_OFF!
    UNDOING   .        .            .           CLOSING    .       stays      stays!     LOST!   CUT_OFF!
    CLOSING   .        .            .           .          ENDED   stays      stays      LOST!   CUT_OFF!
    ENDED     .        .            .           .          .       stays      stays      LOST!   CUT_OFF!
    LOST      stays    stays        stays       stays      stays   stays      stays      stays!  CUT_OFF!
    CUT_OFF   stays    stays        stays       stays      stays   stays      stays      stays!  stays!
    ========  =======  ===========  ==========  =========  ======  =========  =========  ======  ========

    `!`: the task under way, the phases or the rollback, is cancelled. `.`: cannot happen; raises KeyError.

    A shutdown cancels the undo between two rounds: what is left is the watchdog's. It does not in STOPPING,
    because signals often come in twos, and the second must not keep every fault injected.

    Of several ends the first decides the verdict, also one that comes while faults are undone. CUT_OFF comes
    before LOST, because an undo too many does no harm.
    """

    def __init__(self, passed: str = ALL_HELD) -> None:
        self.stage = Stage.NEW
        self._passed = passed
        # Whether the process is shut down: there is little time for undos.
        self.is_shutting_down = False
        self._ending: Verdict | None = None
        self._failure = ""

    @property
    def is_lost(self) -> bool:
        """Whether this process has no right, or no way, to write to the run."""
        return self.stage in (Stage.LOST, Stage.CUT_OFF)

    def move(self, signal: Signal) -> bool:
        """Go to the next stage; return whether the task under way must be cancelled.

        Raises:
            KeyError: the engine did something out of its order.
        """
        before, self.stage = self.stage, TRANSITIONS[self.stage][signal]
        return (before, signal) in _CANCELLING or signal in (Signal.LOSE, Signal.CUT_OFF)

    def end(self, outcome: Outcome, reason: str) -> bool:
        """End with this outcome, unless another end came first; return whether to cancel, as `move` does."""
        if self._ending is None:
            self._ending = Verdict(outcome, reason)
        if outcome is not Outcome.INTERRUPTED:
            return self.move(Signal.END)
        self.is_shutting_down = True
        return self.move(Signal.SHUT_DOWN)

    def note_failure(self, reason: str) -> None:
        """Something failed that does not end the run at once: the first one decides its outcome."""
        self._failure = self._failure or reason

    def verdict(self, rollback: Rollback) -> Verdict:
        if self._ending is not None:
            return Verdict(self._ending.outcome, self._ending.reason, rollback)
        if self._failure:
            return Verdict(Outcome.FAILED, self._failure, rollback)
        return Verdict(Outcome.PASSED, self._passed, rollback)
