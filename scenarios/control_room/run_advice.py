"""What a run that failed or could not be carried out means for its reader, and where to look next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scenarios.domain.outcomes import Outcome, RunState
from scenarios.models import Service
from scenarios.pictures.run_progress import Outline
from scenarios.runs.history import RunHistory, StepHistory

NOTHING_SHOWN = "The run could not do what its document says, so it shows nothing about the service."
NOTHING_INJECTED, ALL_UNDONE = "Nothing was injected.", "What it had injected is undone."
NEXT = "Put that right, then run again."


@dataclass(frozen=True, slots=True)
class Advice:
    """`step` is the one that decided the outcome, if one did; `services` are those that it is about."""

    sentences: Sequence[str]
    step: StepHistory | None
    services: Sequence[Service]


def build_advice(history: RunHistory, outline: Outline) -> Advice | None:
    """None for a run that goes on, has passed, or was ended by somebody."""
    run = history.run
    if run.state != RunState.FINISHED or run.outcome not in (Outcome.FAILED, Outcome.ERRORED):
        return None
    sentences = list(_explain_error(history)) if run.outcome == Outcome.ERRORED else []
    step = next((step for step in history.steps if step.verdict == run.outcome), None)
    if run.outcome == Outcome.ERRORED and step is None:  # an action that failed
        step = next((step for step in history.steps if step.verdict == "failed"), None)
    names = set(_find_services(run.reason, step, outline.services))
    return Advice(sentences, step, list(Service.objects.filter(name__in=names).order_by("name")))


def _explain_error(history: RunHistory) -> Sequence[str]:
    if history.still_injected:
        return [NOTHING_SHOWN]  # and the page says what to do about the fault
    return [NOTHING_SHOWN, ALL_UNDONE if history.injected else NOTHING_INJECTED, NEXT]


def _find_services(reason: str, step: StepHistory | None, services: Mapping[str, str]) -> Sequence[str]:
    """By the step, or else by the places that the reason names, as "action 'x' of phase 'y'"."""
    if step is not None:
        places = [f"{kind} {step.name!r} of phase {step.phase!r}" for kind in ("action", "validation")]
        return [services[place] for place in places if place in services]
    return [service for place, service in services.items() if place in reason]
