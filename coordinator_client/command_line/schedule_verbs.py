"""The verbs schedules, pause and resume, and `schedule` with list, show, set and remove."""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.deletions import show_deletion, show_kept
from coordinator_client.command_line.environment_verbs import add_environment_option, check_environment
from coordinator_client.command_line.given_variables import read_variables
from coordinator_client.command_line.registrations import ScheduleRequest
from coordinator_client.command_line.terminal import escape_text
from coordinator_client.command_line.verbs import (
    Session,
    Verb,
    add_completed,
    add_group,
    add_person,
    add_priority,
    add_unset_variables,
    add_variables,
    add_vars_file,
    add_verb,
    check_unset,
)
from coordinator_client.command_line.wording import format_value, quote_command
from coordinator_client.records import Schedule


def add_to(verbs: Any) -> None:
    add_verb(verbs, list_schedules, "schedules", "List the schedules, with the next time of each.")
    _add_pauses(verbs)
    group = add_group(verbs, "schedule", "Create and change schedules.")
    add_verb(group, list_schedules, "list", "List the schedules, with the next time of each.")
    _add_named(group, show_schedule, "show", "Show a schedule, and what would keep it from starting a run.")
    parser = _add_named(group, set_schedule, "set", "Create a schedule, or change what the options name.")
    subject: Any = parser.add_mutually_exclusive_group()
    names = {"metavar": "NAME", "default": None}
    add_completed(
        subject, "--scenario", completion.complete_scenarios, help_text="The scenario to run.", **names
    )
    add_completed(subject, "--suite", completion.complete_suites, help_text="The suite to run.", **names)
    parser.add_argument("--cron", metavar="CRON", help="For example '30 2 * * MON-FRI'.")
    parser.add_argument("--time-zone", metavar="ZONE", help="For example Europe/Berlin (default: UTC).")
    add_variables(parser)
    add_vars_file(parser)
    add_unset_variables(parser)
    add_environment_option(parser)
    parser.add_argument(
        "--window",
        type=_parse_window,
        metavar="FROM-TO",
        help="Start nothing outside these times of day, for example 02:00-04:00; '' removes it.",
    )
    add_priority(parser)
    add_person(parser)
    parser.set_defaults(priority=None, environment=None)
    _add_named(group, remove_schedule, "remove", "Remove a schedule; its runs stay.", aliases=["delete"])
    _add_named(group, keep_schedule, "keep", "Withdraw the removal of a schedule that goes on.")
    _add_pauses(group)


def _add_pauses(verbs: Any) -> None:
    _add_named(verbs, pause_schedule, "pause", "Pause a schedule: it starts nothing until it is resumed.")
    _add_named(verbs, resume_schedule, "resume", "Resume a paused schedule from now on.")


def _parse_window(text: str) -> tuple[str, str]:
    """The times themselves are checked where they are stored."""
    if not text:
        return "", ""
    first, dash, last = text.partition("-")
    if not (first and dash and last):
        raise ArgumentTypeError(f"invalid window {text!r}; write it as FROM-TO, for example 02:00-04:00")
    return first, last


def _add_named(verbs: Any, function: Verb, name: str, help_text: str, **how: Any) -> Any:
    parser = add_verb(verbs, function, name, help_text, **how)
    add_completed(
        parser,
        "schedule",
        completion.complete_schedules,
        help_text="The schedule's name.",
        metavar="SCHEDULE",
    )
    return parser


def list_schedules(session: Session, **_options: Any) -> int:
    found = session.coordinator.list_schedules()
    columns = {
        "Schedule": [schedule.name for schedule in found],
        "Runs": [schedule.subject for schedule in found],
        "Cron": [schedule.cron for schedule in found],
        "Time zone": [schedule.time_zone for schedule in found],
        "Next (UTC)": [format_next_time(schedule) for schedule in found],
        "By": [schedule.changed_by or "-" for schedule in found],
    }
    hint = f"There are no schedules; create one with {quote_command('schedule set')} or in the admin site."
    session.terminal.rows(found, columns, empty=hint)
    return exit_codes.DONE


def show_schedule(session: Session, schedule: str, **_options: Any) -> int:
    found = session.coordinator.find_schedule(schedule)
    when = escape_text(found.in_words or f"{found.cron}, {found.time_zone}")
    lines = [
        f"[bold]{escape_text(found.name)}[/bold] runs {escape_text(found.subject)}: {when}",
        f"Next (UTC): {format_next_time(found)}",
    ]
    if found.environment:
        lines.append(f"Environment: {escape_text(found.environment)}")
    if found.variables:
        values = ", ".join(f"{name}={format_value(value)}" for name, value in found.variables.items())
        lines.append(f"Variables: {escape_text(values)}")
    if found.obstacle:
        lines.append(f"[yellow]It could not start a run now[/yellow]: {escape_text(found.obstacle)}")
    session.terminal.result(found, "\n".join(lines))
    return exit_codes.DONE


def set_schedule(
    session: Session,
    schedule: str,
    *,
    variables: list[str],
    vars_files: list[Path],
    unset: list[str],
    by: str,
    **options: Any,
) -> int:
    if unset:
        check_unset(unset, session.coordinator.find_schedule(schedule).variables, f"schedule {schedule!r}")
    check_environment(session, options["environment"])
    names = ("cron", "scenario", "suite", "time_zone", "priority", "window", "environment")
    request = ScheduleRequest(
        name=schedule,
        variables=read_variables(variables, vars_files),
        unset=unset,
        **{name: options[name] for name in names},
    )
    saved = session.coordinator.save_schedule(request, by)
    words = f"{escape_text(saved.name)} is stored; {describe_next_time(saved)}."
    session.terminal.result(saved, words)
    return exit_codes.DONE


def remove_schedule(session: Session, schedule: str, **_options: Any) -> int:
    if (deletion := session.coordinator.remove_schedule(schedule)) is not None:
        return show_deletion(session.terminal, deletion, f"schedule keep {schedule}")
    session.terminal.result({"removed": schedule}, f"Schedule {escape_text(schedule)} is removed.")
    return exit_codes.DONE


def keep_schedule(session: Session, schedule: str, **_options: Any) -> int:
    return show_kept(session.terminal, session.coordinator.keep_schedule(schedule))


def pause_schedule(session: Session, schedule: str, **_options: Any) -> int:
    paused = session.coordinator.pause_schedule(schedule, paused=True)
    session.terminal.result(
        paused,
        f"{escape_text(paused.name)} is paused; resume it with {quote_command(f'resume {paused.name}')}.",
    )
    return exit_codes.DONE


def resume_schedule(session: Session, schedule: str, **_options: Any) -> int:
    resumed = session.coordinator.pause_schedule(schedule, paused=False)
    words = f"{escape_text(resumed.name)} is resumed; {describe_next_time(resumed)}."
    session.terminal.result(resumed, words)
    return exit_codes.DONE


def describe_next_time(schedule: Schedule) -> str:
    if schedule.paused:
        return f"it is paused; resume it with {quote_command(f'resume {schedule.name}')}"
    return f"its next time is {format_next_time(schedule)} UTC"


def format_next_time(schedule: Schedule) -> str:
    if schedule.paused or schedule.next_at is None:
        return "paused" if schedule.paused else "-"
    return f"{schedule.next_at:%Y-%m-%d %H:%M}"
