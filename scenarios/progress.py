"""A run in the terminal: followed event by event until it ends."""

import time
from collections.abc import Iterator

from django.conf import settings
from rich.console import Console
from rich.markup import escape

from scenarios.domain.durations import format_duration
from scenarios.domain.outcomes import Outcome, Rollback, RunState
from scenarios.models import Event, Heartbeat, Run
from scenarios.readiness import WORKER_COMMANDS

LOOK_SECONDS = 0.1
WORKER_EXPECTED_SECONDS = 10.0

# Documented in README: for CI.
EXIT_CODES = {
    Outcome.PASSED: 0,
    Outcome.FAILED: 1,
    Outcome.ERRORED: 3,
    Outcome.ABORTED: 4,
    Outcome.TIMED_OUT: 5,
    Outcome.INTERRUPTED: 6,
}
INVALID = 2

SIGNS = {
    "run_approved": "[cyan]Approved by {by}[/cyan]{why}",
    "phase_started": "[bold]{phase}[/bold]",
    "action_failed": "  [red]✗ {subject}[/red]: {reason}",
    "action_finished": "  • {subject}",
    "fault_injected": "  [yellow]⚡ {subject}[/yellow]",
    "fault_not_injected": "  [red]✗ {subject}[/red]: nothing was injected: {reason}",
    "fault_undone": "  [cyan]↩ undone: {subject}[/cyan]",
    "fault_undo_failed": "  [red]✗ undo of {subject} failed[/red]: {reason}",
    "validation_passed": "  [green]✓ {subject}[/green]{after}",
    "validation_failed": "  [red]✗ {subject}[/red]: {reason}",
    "validation_errored": "  [red]✗ {subject}[/red]: {reason}",
    "guard_tripped": "  [red]✗ guard {subject} tripped[/red]: {reason}",
    "run_taken_over": "[yellow]taken over from {from_worker}, which died[/yellow]",
    "run_queued_again": "[yellow]interrupted and undone; queued again[/yellow]: {reason}",
}


def exit_code(run: Run) -> int:
    """0 only where the run passed and nothing is left injected."""
    code = EXIT_CODES[Outcome(run.outcome)]
    return EXIT_CODES[Outcome.ERRORED] if code == 0 and run.rollback != Rollback.CLEAN else code


class Progress:
    """Prints a run's events, each as one line."""

    def __init__(self, run: Run, console: Console) -> None:
        self._run = run
        self._console = console
        self._last = 0
        self._told_of_worker = False
        self._waits_for = ""
        self._begun = False
        self._injected: set[str] = set()

    def follow(self) -> Run:
        """Print until the run ends, then its verdict; return its row. Interrupted, it can be called again."""
        for event in self._events_until_end():
            self.show(event)
        run = Run.objects.get(id=self._run.id)
        self._console.print(verdict_line(run))
        return run

    def _events_until_end(self) -> Iterator[Event]:
        quiet_since = time.monotonic()
        while True:
            # The state is read before the events: what was written before the end is then not missed.
            finished = Run.objects.filter(id=self._run.id, state=RunState.FINISHED).exists()
            for event in Event.objects.filter(run=self._run, sequence__gt=self._last).order_by("sequence"):
                self._last = event.sequence
                quiet_since = time.monotonic()
                yield event
            if finished:
                return
            self._idle(time.monotonic() - quiet_since)
            time.sleep(LOOK_SECONDS)

    def show(self, event: Event) -> None:
        if event.kind == "run_started":
            self._begun = True
        if event.kind == "fault_injected":
            self._injected.add(event.subject)
        if event.kind == "action_finished" and event.subject in self._injected:
            return  # its fault_injected has told of it
        sign = SIGNS.get(event.kind)
        if sign is None:
            return
        seconds = round(event.detail.get("time_to_pass") or 0, 1)
        words = {
            "phase": event.phase,
            "subject": event.subject,
            "reason": event.detail.get("reason", ""),
            "by": event.detail.get("by", ""),
            "why": f": {event.detail['reason']}" if event.detail.get("reason") else "",
            "from_worker": event.detail.get("from", ""),
            "after": f" after {format_duration(seconds)}" if seconds else "",
        }
        self._console.print(sign.format(**{name: escape(str(word)) for name, word in words.items()}))

    def _tell_what_it_waits_for(self) -> None:
        waits_for = Run.objects.filter(id=self._run.id).values_list("waiting_for", flat=True).get()
        if waits_for and waits_for != self._waits_for:
            self._console.print(f"[yellow]Waiting: {escape(waits_for)}.[/yellow]")
        self._waits_for = waits_for

    def _idle(self, seconds: float) -> None:
        if not self._begun:
            self._tell_what_it_waits_for()
        if seconds < WORKER_EXPECTED_SECONDS or self._told_of_worker:
            return
        self._told_of_worker = True
        if Run.objects.queued().filter(id=self._run.id, waiting_for="").exists():
            seen = Heartbeat.objects.filter(name="worker").first()
            when = (
                f"the last one showed itself at {seen.seen_at:%H:%M:%S}"
                if seen
                else "none has ever shown itself"
            )
            self._console.print(
                f"[yellow]Still waiting for a worker: {when}. Start one with "
                f"'manage.py {WORKER_COMMANDS[settings.TASK_BACKEND]}'.[/yellow]"
            )


def verdict_line(run: Run) -> str:
    colour = "green" if exit_code(run) == 0 else "red"
    begun, ended = run.claimed_at, run.finished_at
    took = f" in {format_duration(round((ended - begun).total_seconds(), 1))}" if begun and ended else ""
    reason = escape(run.reason)
    return f"[bold {colour}]{run.outcome.upper()}[/bold {colour}]{took}, rollback {run.rollback}: {reason}"
