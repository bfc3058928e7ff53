"""The verb compare: two runs side by side."""

from typing import Any

from coordinator_client.command_line import exit_codes
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.verbs import Session, add_run, add_verb
from coordinator_client.command_line.wording import format_duration, format_value
from coordinator_client.records import ComparedFigure, ComparedRun, RunComparison

COLOURS = {"+": "green", "-": "red", "@": "cyan"}
OTHER_HELP = "The other run (default: the last one of the scenario before it that has passed)."


def add_to(verbs: Any) -> None:
    parser = add_verb(
        verbs, compare_runs, "compare", "Compare a run with another one: what differs, and figures."
    )
    add_run(parser)
    add_run(parser, "other", help_text=OTHER_HELP, nargs="?", default="")


def compare_runs(session: Session, run: str, other: str, **_options: Any) -> int:
    coordinator, terminal = session.coordinator, session.terminal
    other_id = coordinator.find_run_id(other) if other else ""
    found = coordinator.compare_runs(coordinator.find_run_id(run), other_id)
    if terminal.wants_json:
        terminal.document(found)
    else:
        _show(terminal, found)
    return exit_codes.DONE


def _show(terminal: Terminal, found: RunComparison) -> None:
    terminal.say(f"This run:  {_describe(found.run)}")
    terminal.say(f"The other: {_describe(found.other)}")
    differences = [(name, values["value"], values["other"]) for name, values in found.variables.items()]
    if found.run.environment != found.other.environment:
        differences.insert(0, ("environment", found.run.environment or None, found.other.environment or None))
    for name, this, other in differences:
        terminal.say(f"{escape_text(name)}: {_format(this)}, the other {_format(other)}")
    for line in found.document:
        colour = COLOURS.get(line[:1], "default")
        terminal.say(f"[{colour}]{escape_text(line)}[/{colour}]")
    if not (differences or found.document):
        terminal.say("Both have the same variables and the same document.")
    columns = {
        "Figure": [_name(figure) for figure in found.figures],
        "This run": [_measure(figure, figure.value) for figure in found.figures],
        "The other": [_measure(figure, figure.other) for figure in found.figures],
    }
    terminal.rows(found.figures, columns, empty="Neither run has a figure to compare.")


def _describe(run: ComparedRun) -> str:
    words = f"{run.id[:8]} of {run.scenario}, {run.created_at:%Y-%m-%d %H:%M:%S} UTC: {run.verdict}"
    return escape_text(f"{words}, {run.reason}" if run.reason else words)


def _format(value: object) -> str:
    return "-" if value is None else escape_text(format_value(value))


def _name(figure: ComparedFigure) -> str:
    subject = figure.validation or figure.load
    name = figure.figure.replace("_", " ")
    return f"{name}, {subject} ({figure.phase})" if subject else name


def _measure(figure: ComparedFigure, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if figure.figure == "error_rate" else format_duration(round(value, 4))
