"""Why a run that is queued has not begun, as far as it is known now."""

from django.utils import timezone

from scenarios.domain.counts import format_count
from scenarios.domain.outcomes import UNBEGUN, RunState
from scenarios.models import GlobalStop, Run
from scenarios.runs.admission import describe_stop
from scenarios.supervision import readiness

NO_PLACE_YET = "a worker will pick it up"


def find_waiting_reason(run: Run) -> str:
    """A sentence; "" for a run that has begun."""
    if run.state not in UNBEGUN:
        return ""
    if (stop := GlobalStop.objects.filter(pulled_at__isnull=False).first()) is not None:
        return describe_stop(stop)
    if run.state != RunState.QUEUED:
        return run.waiting_for or "it needs the approval of a second person"
    if problem := readiness.find_problem(readiness.worker):
        return problem
    return run.waiting_for or _describe_line(run)


def _describe_line(run: Run) -> str:
    if run.begin_after is not None and run.begin_after > timezone.now():
        return "it will be tried again in a moment"
    if ahead := Run.objects.before_in_line(run).count():
        return f"{format_count(ahead, 'run')} before it in the queue"
    running = Run.objects.alive(timezone.now()).count()
    return f"{NO_PLACE_YET} when one is free; running now: {running}" if running else NO_PLACE_YET
