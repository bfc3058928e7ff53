"""The verb events, which follows all runs at once."""

from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.coordinator import CommandRefused
from coordinator_client.command_line.feeds import FeedFilter
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.verbs import Session, add_completed, add_verb
from coordinator_client.command_line.wording import quote_command
from coordinator_client.errors import UnavailableError
from coordinator_client.records import EVENT_KINDS, OUTCOMES, FeedEvent


def add_to(verbs: Any) -> None:
    parser = add_verb(verbs, follow_events, "events", "Show the events of all runs as they happen.")
    add_completed(
        parser,
        "--scenario",
        completion.complete_scenarios,
        default="",
        metavar="NAME",
        help_text="Show only events of runs of this scenario.",
    )
    parser.add_argument(
        "--kind",
        action="append",
        default=[],
        choices=EVENT_KINDS,
        metavar="KIND",
        dest="kinds",
        help="Show only events of this kind, such as run_finished; can be repeated.",
    )
    parser.add_argument(
        "--outcome", default="", choices=OUTCOMES, help="Show only the ends of runs with this outcome."
    )
    parser.add_argument(
        "--after",
        default="",
        metavar="ID",
        help="Start after the event with this id, which is the first in each line; 0 is the beginning.",
    )


def follow_events(
    session: Session, scenario: str, kinds: list[str], outcome: str, after: str, **_options: Any
) -> int:
    if after and not (after.isascii() and after.isdecimal()):
        raise CommandRefused(f"Invalid '--after' {after!r}; give the id of an event, a number.")
    which = FeedFilter(scenario, kinds, outcome)
    try:
        for event in session.coordinator.watch_events(which, after):
            if event is None:
                session.terminal.check_reader()
            else:
                after = event.position
                _show(session.terminal, event)
    except UnavailableError as error:
        command = quote_command(f"events --after {after}") if after else quote_command("events")
        raise UnavailableError(f"{error} Continue with {command}.") from error
    return exit_codes.DONE


def _show(terminal: Terminal, event: FeedEvent) -> None:
    if terminal.wants_json:
        terminal.line(event)
        return
    place = " · ".join(escape_text(word) for word in (event.phase, event.step) if word)
    reason = event.data.get("reason", "")
    because = f": {escape_text(reason)}" if reason else ""
    outcome = event.data.get("outcome", "") or place
    terminal.say(
        f"{escape_text(event.position)}  {event.at:%Y-%m-%d %H:%M:%S}  {event.run[:8]}  "
        f"{escape_text(event.scenario)}  {escape_text(event.kind)}  "
        f"{escape_text(outcome)}{because}"
    )
