"""The verbs schedules, pause and resume."""

from typing import Any

from scenarios.command_line import exit_codes
from scenarios.command_line.coordinator import ScheduleFacts
from scenarios.command_line.terminal import escape_text
from scenarios.command_line.verbs import Session, add_verb


def add_to(verbs: Any) -> None:
    add_verb(
        verbs, list_schedules, "schedules", "List the schedules, with the next time of each.", shows=True
    )
    pause = add_verb(
        verbs, pause_schedule, "pause", "Pause a schedule: it starts nothing until it is resumed."
    )
    resume = add_verb(verbs, resume_schedule, "resume", "Resume a paused schedule from now on.")
    for parser in (pause, resume):
        parser.add_argument("schedule", metavar="SCHEDULE", help="The schedule's name.")


def list_schedules(session: Session, **_options: Any) -> int:
    found = session.coordinator.list_schedules()
    columns = {
        "Schedule": [schedule.name for schedule in found],
        "Scenario": [schedule.scenario for schedule in found],
        "Cron": [schedule.cron for schedule in found],
        "Time zone": [schedule.time_zone for schedule in found],
        "Next (UTC)": [format_next_time(schedule) for schedule in found],
        "By": [schedule.changed_by or "-" for schedule in found],
    }
    session.terminal.rows(
        found, columns, empty="There are no schedules; create them in the admin site or over the API."
    )
    return exit_codes.DONE


def pause_schedule(session: Session, schedule: str, **_options: Any) -> int:
    paused = session.coordinator.pause_schedule(schedule, paused=True)
    session.terminal.say(f"{escape_text(paused.name)} is paused; resume it with 'manage.py scenario resume'.")
    return exit_codes.DONE


def resume_schedule(session: Session, schedule: str, **_options: Any) -> int:
    resumed = session.coordinator.pause_schedule(schedule, paused=False)
    session.terminal.say(
        f"{escape_text(resumed.name)} is resumed; its next time is {format_next_time(resumed)} UTC."
    )
    return exit_codes.DONE


def format_next_time(schedule: ScheduleFacts) -> str:
    if schedule.paused or schedule.next_at is None:
        return "paused" if schedule.paused else "-"
    return f"{schedule.next_at:%Y-%m-%d %H:%M}"
