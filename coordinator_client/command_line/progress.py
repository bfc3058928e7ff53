"""Follows a run event by event until it ends."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from coordinator_client.command_line import exit_codes
from coordinator_client.command_line.coordinator import Coordinator
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.wording import (
    format_duration,
    quote_command,
    quote_command_of_others,
)
from coordinator_client.errors import CoordinatorError, UnavailableError, WaitTimeoutError
from coordinator_client.records import Event, Run

WORKER_GRACE_SECONDS = 10.0
MIN_LOOK_SECONDS = 1.0
MAX_APPROVALS = 200

MAY_ARRIVE = ", but the injection was never answered and may still arrive"
SIGNS: Mapping[str, str] = {
    "run_approved": "[cyan]Approved by {by}[/cyan]{because}",
    "phase_started": "[bold]{phase}[/bold]",
    "action_retried": "  [yellow]↻ {step} is tried again[/yellow]: {reason}",
    "action_failed": "  [red]✗ {step}[/red]: {reason}",
    "action_finished": "  • {step}",
    "fault_injected": "  [yellow]⚡ {step}[/yellow]",
    "fault_not_injected": "  [red]✗ {step}[/red]: nothing was injected: {reason}",
    "fault_undone": "  [cyan]↩ undone: {step}[/cyan]",
    "fault_unverified": f"  [cyan]↩ undone: {{step}}[/cyan]{MAY_ARRIVE}",
    "fault_watched": f"  [cyan]↩ gone: {{step}}[/cyan]{MAY_ARRIVE}",
    "fault_undo_failed": "  [red]✗ undo of {step} failed[/red]: {reason}",
    "fault_waiting_for_host": "  [red]✗ {step} is still injected[/red]: {reason}",
    "validation_passed": "  [green]✓ {step}[/green]{after}",
    "validation_failed": "  [red]✗ {step}[/red]: {reason}",
    "validation_errored": "  [red]✗ {step}[/red]: {reason}",
    "guard_tripped": "  [red]✗ guard {step} tripped[/red]: {reason}",
    "run_taken_over": "[yellow]taken over from {from_worker}, which has died[/yellow]",
    "run_queued_again": "[yellow]interrupted and undone; queued again[/yellow]: {reason}",
}


@dataclass
class Clock:
    """What the changing line shows: the phase, and the seconds since the beginning."""

    text: str = "waiting to begin"
    began: float = field(default_factory=time.monotonic)

    def __rich__(self) -> str:
        return f"{escape_text(self.text)} · {format_duration(round(time.monotonic() - self.began))}"


class Deadline:
    """When to stop waiting for a run."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.until = time.monotonic() + seconds

    def check(self) -> None:
        """Raise WaitTimeoutError once it has passed."""
        if time.monotonic() >= self.until:
            raise WaitTimeoutError(f"The run has not ended within {format_duration(self._seconds)}.")


class Progress:
    """Prints a run's events as text, one per line; with `quiet`, only how the run ended."""

    def __init__(
        self, coordinator: Coordinator, run_id: str, terminal: Terminal, *, quiet: bool = False
    ) -> None:
        self._coordinator = coordinator
        self._run_id = run_id
        self._terminal = terminal
        self._quiet = quiet
        self._last = 0
        self._clock = Clock()
        self._has_explained_worker = False
        self._has_begun = False
        self._waits_for = ""
        self._looked_at = 0.0
        self._injected: set[str] = set()
        self._line, self._times = "", 0

    def follow(self, deadline: Deadline | None = None) -> Run:
        """Print until the run ends, then its verdict. It can be called again after an interruption.

        Raises:
            WaitTimeoutError: the run has not ended at the deadline.
        """
        quiet_since = time.monotonic()
        with self._terminal.status(self._clock):
            until = deadline.until if deadline is not None else None
            for event in self._coordinator.watch(self._run_id, self._last, until):
                if event is not None:
                    quiet_since = time.monotonic()
                    self._last = event.sequence
                    self.show(event)
                else:
                    self._terminal.check_reader()
                    self._idle(time.monotonic() - quiet_since)
                if deadline is not None:
                    deadline.check()
        run = self._coordinator.find_run(self._run_id)
        self._terminal.say(format_verdict(run))
        return run

    def show(self, event: Event) -> None:
        if event.kind == "phase_started":
            self._clock.text = event.phase
        if event.kind == "fault_injected":
            self._injected.add(event.step)
        if event.kind == "action_finished" and event.step in self._injected:
            return  # already shown as an injected fault
        if not self._quiet and (sign := SIGNS.get(event.kind)) is not None:
            self._say(sign.format(**_list_values(event)))

    def _say(self, line: str) -> None:
        """What repeats, such as an undo that is refused again, is said the 1st, 2nd, 4th, 8th… time."""
        self._times = self._times + 1 if line == self._line else 1
        self._line = line
        if self._times & (self._times - 1) == 0:
            again = f" [dim](time {self._times})[/dim]" if self._times > 1 else ""
            self._terminal.say(line + again)

    def _idle(self, seconds: float) -> None:
        if self._has_begun or time.monotonic() - self._looked_at < MIN_LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        with suppress(UnavailableError):  # `watch` decides how long it may be away
            self._explain_waiting(self._coordinator.find_run(self._run_id), seconds)

    def _explain_waiting(self, run: Run, seconds: float) -> None:
        self._has_begun = run.has_begun
        if run.has_begun:
            return
        if run.waiting_for and run.waiting_for != self._waits_for:
            self._terminal.say(f"[yellow]Waiting: {escape_text(run.waiting_for)}.[/yellow]")
            if sentence := explain_approval(self._coordinator, run):
                self._terminal.say(f"[yellow]{escape_text(sentence)}[/yellow]")
        self._waits_for = run.waiting_for
        if seconds < WORKER_GRACE_SECONDS or self._has_explained_worker:
            return
        self._has_explained_worker = True
        if sentence := self._coordinator.explain_missing_worker(run):
            self._terminal.say(f"[yellow]{escape_text(sentence)}[/yellow]")


def _list_values(event: Event) -> dict[str, str]:
    seconds = round(event.data.get("time_to_pass") or 0, 1)
    reason = escape_text(event.data.get("reason", ""))
    return {
        "phase": escape_text(event.phase),
        "step": escape_text(event.step),
        "reason": reason,
        "because": f": {reason}" if reason else "",
        "by": escape_text(event.data.get("by", "")),
        "from_worker": escape_text(event.data.get("from", "")),
        "after": f" after {format_duration(seconds)}" if seconds else "",
    }


def explain_approval(coordinator: Coordinator, run: Run) -> str:
    """The command that approves the run; "" if none is awaited, or the user may not see it."""
    if run.status != "awaiting_approval":
        return ""
    with suppress(CoordinatorError):
        for found in coordinator.list_approvals("pending", MAX_APPROVALS):
            if found.run == run.id:
                command = quote_command_of_others(f"approval approve {found.id}")
                return f"A second person approves it with {command}."
    return ""


def say_that_it_continues(terminal: Terminal, run: Run) -> None:
    terminal.complain(f"The run continues; stop it with {quote_command(f'stop {run.short_id}')}.")


def format_verdict(run: Run) -> str:
    colour = "green" if exit_codes.find_exit_code(run) == exit_codes.DONE else "red"
    took = f" in {format_duration(round(run.duration, 1))}" if run.duration is not None else ""
    verdict = f"[bold {colour}]{run.status.upper()}[/bold {colour}]"
    return f"{verdict}{took}, rollback {run.rollback}: {escape_text(run.reason)}"
