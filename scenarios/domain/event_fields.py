"""What `data` of each kind of event has. A field is missing where it has nothing to say."""

from collections.abc import Mapping

from scenarios.domain.event_kinds import EventKind, Topic, find_kinds

_DECISION = ("services", "by", "reason")
_JUDGEMENT = ("reason", "attempts", "time_to_pass", "seen")
_FIGURES = ("requests", "errors", "error_rate", "rate", "p50", "p95", "p99", "max")

FIELDS: Mapping[EventKind, tuple[str, ...]] = {
    **dict.fromkeys(EventKind, ()),
    EventKind.APPROVAL_ASKED: _DECISION,
    EventKind.RUN_APPROVED: _DECISION,
    EventKind.RUN_STARTED: ("attempt", "worker", "variables"),
    EventKind.RUN_TAKEN_OVER: ("from",),
    EventKind.RUN_QUEUED_AGAIN: ("reason",),
    EventKind.RUN_FINISHED: ("outcome", "rollback", "reason"),
    EventKind.PHASE_STARTED: ("hold",),
    EventKind.ACTION_STARTED: ("driver",),
    EventKind.ACTION_RETRIED: ("reason",),
    EventKind.ACTION_FINISHED: ("seen",),
    EventKind.ACTION_FAILED: ("reason", "driver", "fault", "seen"),
    EventKind.VALIDATION_HOLDING: ("reason", "seen"),
    EventKind.VALIDATION_NOT_HOLDING: ("reason", "seen"),
    EventKind.VALIDATION_PASSED: _JUDGEMENT,
    EventKind.VALIDATION_FAILED: _JUDGEMENT,
    EventKind.VALIDATION_ERRORED: _JUDGEMENT,
    EventKind.GUARD_TRIPPED: ("reason", "seen"),
    EventKind.LOAD_MEASURED: (*_FIGURES, "kinds", "unsent", "slowest_trace", "error_traces"),
    EventKind.LOAD_FINISHED: ("rate", "began_at", "baseline", "lateness_p99", "curve"),
    **dict.fromkeys(find_kinds(Topic.FAULT), ("reason",)),
    EventKind.FAULT_INJECTING: (),
    EventKind.FAULT_INJECTED: (),
    EventKind.FAULT_UNDONE: ("places", "expired"),
    EventKind.FAULT_UNVERIFIED: ("places", "until"),
    EventKind.FAULT_WATCHED: ("places", "until"),
    EventKind.FAULT_UNDO_FAILED: ("reason", "places"),
    EventKind.FAULT_ACKNOWLEDGED: ("by", "reason"),
    EventKind.ROLLBACK_STARTED: ("faults",),
}
"""Where an event could not be stored as it was, `reduced` says so."""
