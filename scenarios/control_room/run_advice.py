"""What a run that failed or could not be carried out means for its reader, and where to look next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scenarios.domain.outcomes import STATES_AWAITED, FaultState, Outcome, RunState
from scenarios.models import Service
from scenarios.pictures.run_progress import Outline
from scenarios.runs.history import RunHistory, StepHistory

NOTHING_SHOWN = "The run could not do what its document says, so it shows nothing about the service."
CUT_OFF = "The run was cut off, so it shows nothing about the service."
NOTHING_INJECTED, ALL_UNDONE = "Nothing was injected.", "What it had injected is undone."
SOME_ACKNOWLEDGED = "What it had injected is undone, or was acknowledged by somebody."
FAILED_UNDONE = "An injection failed; what it may have done is undone."
MAYBE_UNDONE = "An injection was never answered; what it may have done is undone."
MAY_ARRIVE = "An injection was never answered and may still arrive; it is then undone again."
NEXT, AGAIN = "Put that right, then run again.", "Run it again."


@dataclass(frozen=True, slots=True)
class Advice:
    """`step` is the one that decided the outcome, if one did; `services` are those that it is about."""

    sentences: Sequence[str]
    step: StepHistory | None
    services: Sequence[Service]


def build_advice(history: RunHistory, outline: Outline) -> Advice | None:
    """None for a run that goes on, or has passed."""
    run = history.run
    if run.state != RunState.FINISHED or run.outcome == Outcome.PASSED:
        return None
    sentences = _explain(history)
    step = next((step for step in history.steps if step.verdict == run.outcome), None)
    if run.outcome in (Outcome.ERRORED, Outcome.ABORTED) and step is None:  # an action or a guard that failed
        step = next((step for step in history.steps if step.verdict == "failed"), None)
    names = set(_find_services(run.reason, step, outline.services))
    return Advice(sentences, step, list(Service.objects.filter(name__in=names).order_by("name")))


def _explain(history: RunHistory) -> Sequence[str]:
    """What the run means, unless its reason says so, and what is left of it."""
    if history.run.outcome in (Outcome.FAILED, Outcome.ABORTED, Outcome.TIMED_OUT):
        return [] if history.still_injected else [_tell_what_is_left(history)]
    is_cut_off = history.run.outcome == Outcome.INTERRUPTED
    meaning, what_next = (CUT_OFF, AGAIN) if is_cut_off else (NOTHING_SHOWN, NEXT)
    if history.still_injected:
        return [meaning]  # and the page says what to do about the fault
    return [meaning, _tell_what_is_left(history), what_next]


def _tell_what_is_left(history: RunHistory) -> str:
    """For a reader who must know whether something is still broken."""
    states = {fault.state for fault in history.faults} - {FaultState.NOT_INJECTED}
    if not states.isdisjoint(STATES_AWAITED):
        return MAY_ARRIVE
    if FaultState.ACKNOWLEDGED in states:
        return SOME_ACKNOWLEDGED
    if history.injected:
        return ALL_UNDONE
    if any(fault.late_until is not None for fault in history.faults):
        return MAYBE_UNDONE
    return FAILED_UNDONE if states else NOTHING_INJECTED


def _find_services(reason: str, step: StepHistory | None, services: Mapping[str, str]) -> Sequence[str]:
    """By the step, or else by the places that the reason names, as "action 'x' of phase 'y'"."""
    if step is not None:
        places = [f"{kind} {step.name!r} of phase {step.phase!r}" for kind in ("action", "validation")]
        return [services[place] for place in places if place in services]
    return [service for place, service in services.items() if place in reason]
