"""The kinds of events that a run's log holds. Their values are stored, and the API returns them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, Self


class Topic(StrEnum):
    """What an event is about; `ACTION`, `VALIDATION` and `GUARD` are steps of the scenario."""

    RUN = "run"
    APPROVAL = "approval"
    PHASE = "phase"
    ACTION = "action"
    VALIDATION = "validation"
    GUARD = "guard"
    LOAD = "load"
    FAULT = "fault"
    ROLLBACK = "rollback"


class EventKind(StrEnum):
    """One thing that can happen in a run, with what it is about and a sentence for the documentation."""

    topic: Topic
    description: str

    # With defaults, because type checkers read this as the signature of `EventKind("run_started")`, too.
    def __new__(cls, value: str, topic: Topic = Topic.RUN, description: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.topic, member.description = topic, description
        return member

    APPROVAL_ASKED = "approval_asked", Topic.APPROVAL, "The run waits for a second person's approval."
    RUN_APPROVED = "run_approved", Topic.RUN, "A second person has approved the run, or its schedule."
    RUN_STARTED = "run_started", Topic.RUN, "A worker starts an attempt of the run."
    RUN_TAKEN_OVER = "run_taken_over", Topic.RUN, "The run's worker died; another process undoes its faults."
    RUN_QUEUED_AGAIN = "run_queued_again", Topic.RUN, "The run was interrupted and is queued for a retry."
    RUN_FINISHED = "run_finished", Topic.RUN, "The run has ended, with an outcome and a rollback."

    PHASE_STARTED = "phase_started", Topic.PHASE, "A phase starts."
    PHASE_FINISHED = "phase_finished", Topic.PHASE, "All steps of a phase have ended."

    ACTION_STARTED = "action_started", Topic.ACTION, "An action starts."
    ACTION_RETRIED = "action_retried", Topic.ACTION, "An action was not done and is tried again."
    ACTION_FINISHED = "action_finished", Topic.ACTION, "An action was carried out as expected."
    ACTION_FAILED = "action_failed", Topic.ACTION, "An action failed, or did not return what was expected."

    VALIDATION_STARTED = "validation_started", Topic.VALIDATION, "A validation starts."
    VALIDATION_HOLDING = (
        "validation_holding",
        Topic.VALIDATION,
        "A validation holds at its first attempt, or begins to hold.",
    )
    VALIDATION_NOT_HOLDING = (
        "validation_not_holding",
        Topic.VALIDATION,
        "A validation does not hold at its first attempt, or stops holding.",
    )
    VALIDATION_PASSED = "validation_passed", Topic.VALIDATION, "A validation has passed."
    VALIDATION_FAILED = "validation_failed", Topic.VALIDATION, "A validation has failed."
    VALIDATION_ERRORED = "validation_errored", Topic.VALIDATION, "A validation could not be evaluated."

    GUARD_TRIPPED = "guard_tripped", Topic.GUARD, "A guard failed too often; the run is aborted."

    LOAD_MEASURED = "load_measured", Topic.LOAD, "The figures of a load in a phase that is over."
    LOAD_FINISHED = "load_finished", Topic.LOAD, "A load is over, with its baseline and its curve."

    FAULT_INJECTING = "fault_injecting", Topic.FAULT, "A fault is in the ledger and is now injected."
    FAULT_INJECTED = "fault_injected", Topic.FAULT, "A fault is injected."
    FAULT_LOST = "fault_lost", Topic.FAULT, "A fault ended too early: its target does not have it any more."
    FAULT_NOT_INJECTED = "fault_not_injected", Topic.FAULT, "A fault cannot have reached its target."
    FAULT_UNDONE = "fault_undone", Topic.FAULT, "A fault is undone."
    FAULT_UNVERIFIED = (
        "fault_unverified",
        Topic.FAULT,
        "A fault's undo succeeded, but its injection was never answered and may still arrive.",
    )
    FAULT_WATCHED = (
        "fault_watched",
        Topic.FAULT,
        "A fault was seen to be gone, but its injection was never answered and may still arrive.",
    )
    FAULT_UNDO_FAILED = "fault_undo_failed", Topic.FAULT, "The undo of a fault failed and will be retried."
    FAULT_WAITING_FOR_HOST = (
        "fault_waiting_for_host",
        Topic.FAULT,
        "A fault can be undone only by a process of its own host.",
    )
    FAULT_ACKNOWLEDGED = "fault_acknowledged", Topic.FAULT, "A person has closed an outstanding fault."

    ROLLBACK_STARTED = "rollback_started", Topic.ROLLBACK, "The undo of the run's remaining faults starts."


def find_kinds(topic: Topic) -> frozenset[EventKind]:
    """All kinds of events about the topic."""
    return frozenset(kind for kind in EventKind if kind.topic is topic)


def parse_kind(text: str) -> EventKind | None:
    """The kind of a stored event; None where another version of the coordinator wrote one unknown here."""
    try:
        return EventKind(text)
    except ValueError:
        return None


StepOutcome = Literal["passed", "failed", "errored"]
# How a step ended, by the kind of the event that says so.
STEP_OUTCOMES: Mapping[EventKind, StepOutcome] = {
    EventKind.ACTION_FINISHED: "passed",
    EventKind.ACTION_FAILED: "failed",
    EventKind.VALIDATION_PASSED: "passed",
    EventKind.VALIDATION_FAILED: "failed",
    EventKind.VALIDATION_ERRORED: "errored",
    EventKind.GUARD_TRIPPED: "failed",
}
