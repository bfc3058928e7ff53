"""Follows a run event by event until it ends."""

import time
from collections.abc import Iterator, Mapping

from scenarios.command_line import exit_codes
from scenarios.command_line.coordinator import Coordinator, CoordinatorUnavailable
from scenarios.command_line.terminal import Terminal, escape_text
from scenarios.domain.durations import format_duration
from scenarios.domain.event_kinds import EventKind
from scenarios.published.records import EventRecord, RunRecord

WORKER_GRACE_SECONDS = 10.0
# Waits this long for a coordinator that is restarted or unreachable, because the run continues.
MAX_OUTAGE_SECONDS = 60.0
OUTAGE_POLL_SECONDS = 1.0

MAY_ARRIVE = ", but the injection was never answered and may still arrive"
SIGNS: Mapping[str, str] = {
    EventKind.RUN_APPROVED: "[cyan]Approved by {by}[/cyan]{because}",
    EventKind.PHASE_STARTED: "[bold]{phase}[/bold]",
    EventKind.ACTION_RETRIED: "  [yellow]↻ {step} is tried again[/yellow]: {reason}",
    EventKind.ACTION_FAILED: "  [red]✗ {step}[/red]: {reason}",
    EventKind.ACTION_FINISHED: "  • {step}",
    EventKind.FAULT_INJECTED: "  [yellow]⚡ {step}[/yellow]",
    EventKind.FAULT_NOT_INJECTED: "  [red]✗ {step}[/red]: nothing was injected: {reason}",
    EventKind.FAULT_UNDONE: "  [cyan]↩ undone: {step}[/cyan]",
    EventKind.FAULT_UNVERIFIED: f"  [cyan]↩ undone: {{step}}[/cyan]{MAY_ARRIVE}",
    EventKind.FAULT_WATCHED: f"  [cyan]↩ gone: {{step}}[/cyan]{MAY_ARRIVE}",
    EventKind.FAULT_UNDO_FAILED: "  [red]✗ undo of {step} failed[/red]: {reason}",
    EventKind.FAULT_WAITING_FOR_HOST: "  [red]✗ {step} is still injected[/red]: {reason}",
    EventKind.VALIDATION_PASSED: "  [green]✓ {step}[/green]{after}",
    EventKind.VALIDATION_FAILED: "  [red]✗ {step}[/red]: {reason}",
    EventKind.VALIDATION_ERRORED: "  [red]✗ {step}[/red]: {reason}",
    EventKind.GUARD_TRIPPED: "  [red]✗ guard {step} tripped[/red]: {reason}",
    EventKind.RUN_TAKEN_OVER: "[yellow]taken over from {from_worker}, which has died[/yellow]",
    EventKind.RUN_QUEUED_AGAIN: "[yellow]interrupted and undone; queued again[/yellow]: {reason}",
}


class Watch:
    """A run's events until it ends. After an interruption it continues where it was."""

    def __init__(self, coordinator: Coordinator, run_id: str, *, after: int = 0) -> None:
        self._coordinator = coordinator
        self._run_id = run_id
        self.last = after
        self.run: RunRecord | None = None
        self._heard_at = time.monotonic()

    def events(self) -> Iterator[EventRecord | None]:
        """Yields None when there is nothing new. `run` is the run at the last look.

        Raises:
            CoordinatorUnavailable: it has not responded for a minute.
        """
        while True:
            try:
                # The run is read before its events, so that none of the last ones is missed.
                self.run = self._coordinator.find_run(self._run_id)
                new = self._coordinator.list_events(self._run_id, self.last)
            except CoordinatorUnavailable:
                if time.monotonic() - self._heard_at > MAX_OUTAGE_SECONDS:
                    raise
                time.sleep(OUTAGE_POLL_SECONDS)
                continue
            self._heard_at = time.monotonic()
            for event in new:
                self.last = event.sequence
                yield event
            if new:
                continue
            if self.run.has_ended:
                return
            yield None
            time.sleep(self._coordinator.poll_seconds)


class Progress:
    """Prints a run's events for a person, one per line."""

    def __init__(self, coordinator: Coordinator, run_id: str, terminal: Terminal) -> None:
        self._coordinator = coordinator
        self._watch = Watch(coordinator, run_id)
        self._terminal = terminal
        self._has_explained_worker = False
        self._waits_for = ""
        self._phase = ""
        self._injected: set[str] = set()

    def follow(self) -> RunRecord:
        """Print until the run ends, then its verdict. It can be called again after an interruption."""
        began = quiet_since = time.monotonic()
        with self._terminal.status("waiting") as status:
            for event in self._watch.events():
                if event is not None:
                    quiet_since = time.monotonic()
                    self.show(event)
                else:
                    self._idle(time.monotonic() - quiet_since)
                if status is not None:
                    took = format_duration(round(time.monotonic() - began))
                    status.update(f"{escape_text(self._phase or 'waiting to begin')} · {took}")
        run = self._watch.run
        assert run is not None  # noqa: S101 - the watch has looked at it
        self._terminal.say(format_verdict(run))
        return run

    def show(self, event: EventRecord) -> None:
        if event.kind == EventKind.PHASE_STARTED:
            self._phase = event.phase
        if event.kind == EventKind.FAULT_INJECTED:
            self._injected.add(event.step)
        if event.kind == EventKind.ACTION_FINISHED and event.step in self._injected:
            return  # already shown as an injected fault
        if (sign := SIGNS.get(event.kind)) is not None:
            self._terminal.say(sign.format(**_list_values(event)))

    def _idle(self, seconds: float) -> None:
        run = self._watch.run
        if run is None or run.has_begun:
            return
        if run.waiting_for and run.waiting_for != self._waits_for:
            self._terminal.say(f"[yellow]Waiting: {escape_text(run.waiting_for)}.[/yellow]")
        self._waits_for = run.waiting_for
        if seconds < WORKER_GRACE_SECONDS or self._has_explained_worker:
            return
        self._has_explained_worker = True
        if sentence := self._coordinator.explain_missing_worker(run):
            self._terminal.say(f"[yellow]{escape_text(sentence)}[/yellow]")


def _list_values(event: EventRecord) -> dict[str, str]:
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


def format_verdict(run: RunRecord) -> str:
    colour = "green" if exit_codes.find_exit_code(run) == exit_codes.DONE else "red"
    took = f" in {format_duration(round(run.duration, 1))}" if run.duration is not None else ""
    verdict = f"[bold {colour}]{run.status.upper()}[/bold {colour}]"
    return f"{verdict}{took}, rollback {run.rollback}: {escape_text(run.reason)}"
