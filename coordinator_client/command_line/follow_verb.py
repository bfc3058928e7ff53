"""The verb follow."""

from collections.abc import Callable
from typing import Any

from coordinator_client.command_line import exit_codes
from coordinator_client.command_line.moments import parse_duration
from coordinator_client.command_line.progress import Deadline, format_verdict, say_that_it_continues
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.verbs import Session, add_run, add_verb, parse_number
from coordinator_client.command_line.wording import quote_command
from coordinator_client.errors import UnavailableError, WaitTimeoutError
from coordinator_client.records import Event


def add_to(verbs: Any) -> None:
    watching = add_verb(
        verbs,
        follow,
        "follow",
        "Show the events of a run until it ends. The exit code is that of the outcome.",
    )
    add_run(watching)
    watching.add_argument(
        "--after", type=parse_number, default=0, metavar="N", help="Continue after event number N."
    )
    watching.add_argument(
        "--timeout",
        type=parse_duration,
        metavar="DURATION",
        help=f"Exit with {exit_codes.NOT_IN_TIME} if the run has not ended after this long, for example 10m.",
    )


def follow(session: Session, run: str, *, after: int, timeout: float | None, **_options: Any) -> int:
    terminal = session.terminal
    found = session.coordinator.find_run(session.coordinator.find_run_id(run))
    show: Callable[[Event], None] = _make_event_printer(terminal)
    deadline = None if timeout is None else Deadline(timeout)
    try:
        with terminal.status(f"{escape_text(found.scenario)} · Ctrl-C exits; the run continues"):
            for event in session.coordinator.watch(found.id, after, deadline.until if deadline else None):
                if event is None:
                    terminal.check_reader()
                else:
                    after = event.sequence
                    show(event)
                if deadline is not None:
                    deadline.check()
    except UnavailableError as error:
        command = quote_command(f"follow {found.short_id} --after {after}")
        raise UnavailableError(f"{error} Continue with {command}.") from error
    except (KeyboardInterrupt, BrokenPipeError, WaitTimeoutError):
        if not found.has_ended:
            say_that_it_continues(terminal, found)
        raise
    ended = session.coordinator.find_run(found.id)
    if not terminal.wants_json:
        terminal.say(format_verdict(ended))
    return exit_codes.find_exit_code(ended)


def _make_event_printer(terminal: Terminal) -> Callable[[Event], None]:
    if terminal.wants_json:
        return terminal.line

    def show(event: Event) -> None:
        place = " · ".join(escape_text(word) for word in (event.phase, event.step) if word)
        reason = event.data.get("reason", "")
        because = f": {escape_text(reason)}" if reason else ""
        at = event.at.time().isoformat(timespec="milliseconds")
        what = f"  {place}" if place else ""
        terminal.say(f"{event.sequence:>5} {at} {escape_text(event.kind)}{what}{because}")

    return show
