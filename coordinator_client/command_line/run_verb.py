"""The verbs run and plan."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.coordinator import (
    CommandRefused,
    NotFound,
    ScenarioNotFound,
    Start,
    TranslationRefused,
)
from coordinator_client.command_line.decision_verbs import show_steps
from coordinator_client.command_line.environment_verbs import add_environment_option, check_environment
from coordinator_client.command_line.files import (
    check_writable,
    find_file,
    is_file_name,
    parse_report,
    read_content,
    replace_file,
)
from coordinator_client.command_line.given_variables import read_variables
from coordinator_client.command_line.interrupts import Interrupts
from coordinator_client.command_line.moments import parse_duration
from coordinator_client.command_line.progress import (
    Deadline,
    Progress,
    explain_approval,
    say_that_it_continues,
)
from coordinator_client.command_line.reading import FileProblem, list_findings, show_preflight, show_problems
from coordinator_client.command_line.terminal import Terminal, describe_error, escape_text
from coordinator_client.command_line.verbs import (
    Session,
    add_completed,
    add_priority,
    add_variables,
    add_vars_file,
    add_verb,
)
from coordinator_client.command_line.wording import format_duration, quote_command
from coordinator_client.errors import InvalidDocumentError, UnavailableError, WaitTimeoutError
from coordinator_client.exchanges import check_key
from coordinator_client.records import Run


def add_to(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        run,
        "run",
        "Run a scenario and follow it until it ends. The exit code is that of the outcome.",
    )
    _add_subject(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--dry-run", action="store_true", help="Show what the run would do, without starting it."
    )
    how.add_argument(
        "--detach", action="store_true", help="Start the run, print its id, and do not follow it."
    )
    how.add_argument("--wait", action="store_true", help="Show only how the run ends, not its events.")
    parser.add_argument(
        "--timeout",
        type=parse_duration,
        metavar="DURATION",
        help="Stop the run and undo its faults if it has not ended after this long, for example 10m, "
        "whether it runs or still waits.",
    )
    parser.add_argument(
        "--no-queue",
        "--no-wait",
        action="store_true",
        help="Do not start the run if it would have to wait, for example for its services. "
        "'--no-wait' is the earlier name.",
    )
    add_priority(parser)
    parser.add_argument(
        "--idempotency-key",
        type=_parse_key,
        metavar="KEY",
        help="Start one run, however often the command is repeated with this key within 24 hours.",
    )
    parser.add_argument(
        "--junit",
        type=parse_report,
        metavar="FILE",
        help="Write a JUnit report to FILE when the run has ended, whatever the outcome.",
    )

    planning = add_verb(
        verbs,
        plan,
        "plan",
        "Show what a run would do and meet, as 'run --dry-run' does; nothing is started.",
    )
    _add_subject(planning)


def _add_subject(parser: ArgumentParser) -> None:
    """What is run, with which variables, and where."""
    add_completed(
        parser,
        "scenario",
        completion.complete_scenarios_and_files,
        metavar="NAME-OR-FILE",
        help_text="The name of a stored scenario, or a file with a document, or '-' for standard input.",
    )
    add_variables(parser)
    add_vars_file(parser)
    add_environment_option(parser)


def _parse_key(text: str) -> str:
    try:
        return check_key(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def run(
    session: Session,
    scenario: str,
    variables: list[str],
    *,
    vars_files: list[Path],
    dry_run: bool,
    detach: bool,
    junit: Path | None,
    **options: Any,
) -> int:
    if options["timeout"] and (dry_run or detach):
        raise CommandRefused("'--timeout' follows the run; use it without '--dry-run' and '--detach'.")
    if junit is not None:
        if dry_run or detach:
            raise CommandRefused(
                "'--junit' needs the end of the run; use it without '--dry-run' and '--detach'."
            )
        check_writable(junit)
    try:
        values = read_variables(variables, vars_files)
        check_environment(session, options["environment"])
        if dry_run:
            return _dry_run(session, scenario, values, options["environment"])
        how = Start(
            not options["no_queue"],
            options["priority"],
            options["environment"],
            options["idempotency_key"] or "",
        )
        started = _start(session, scenario, values, how)
    except ScenarioNotFound:
        _explain_file(scenario)
        raise
    except TranslationRefused as error:
        return _show_refused_document(session, scenario, error, translated=True)
    except InvalidDocumentError as error:
        return _show_refused_document(session, scenario, error, translated=False)
    if detach:
        return _show_started(session, started)
    return _follow_to_end(session, started, junit, quiet=options["wait"], timeout=options["timeout"])


def plan(session: Session, scenario: str, variables: list[str], **options: Any) -> int:
    return run(session, scenario, variables, **options, dry_run=True, detach=False, junit=None, timeout=None)


def _explain_file(word: str) -> None:
    """Raise a better error if what is no scenario is a file or a folder."""
    if Path(word).is_dir():
        find_file(Path(word))  # raises
    if Path(word).is_file():
        raise NotFound(f"There is no scenario {word!r}; to run the file, write './{word}'.")


def _show_refused_document(
    session: Session, scenario: str, error: InvalidDocumentError, *, translated: bool
) -> int:
    found = [FileProblem(Path(scenario), mistake, translated=translated) for mistake in error.problems]
    show_problems(session.terminal, found)
    if session.terminal.wants_json:
        problems = [problem.as_json() for problem in found]
        session.terminal.document({**describe_error(error), "problems": problems})
    return exit_codes.REFUSED


def _start(session: Session, scenario: str, values: dict[str, str], how: Start) -> Run:
    if is_file_name(scenario):
        return session.coordinator.start_document(_read_source(session, scenario), values, how)
    return session.coordinator.start_scenario(scenario, values, how)


def _read_source(session: Session, scenario: str) -> str:
    if not is_file_name(scenario):
        return session.coordinator.find_scenario(scenario).document
    file = find_file(Path(scenario))
    return session.coordinator.read_document(read_content(file)).source


def _dry_run(session: Session, scenario: str, values: dict[str, str], environment: str) -> int:
    source = _read_source(session, scenario)
    found = session.coordinator.plan_run(source, values, environment=environment)
    terminal = session.terminal
    if terminal.wants_json:
        terminal.document({"scenario": scenario, "steps": found.steps, **list_findings(found)})
    else:
        show_steps(session, found.steps)
        show_preflight(terminal, found)
        terminal.say("Nothing was started.")
    return exit_codes.REFUSED if found.refusals or found.unreachable else exit_codes.DONE


def _show_started(session: Session, started: Run) -> int:
    terminal = session.terminal
    if terminal.wants_json:
        terminal.document(started)
    else:
        terminal.say(started.id)
        if started.waiting_for:
            terminal.errors.print(f"Waiting: {escape_text(started.waiting_for)}.")
        if sentence := explain_approval(session.coordinator, started):
            terminal.errors.print(escape_text(sentence))
    return exit_codes.DONE


def _follow_to_end(
    session: Session, started: Run, junit: Path | None, *, quiet: bool, timeout: float | None
) -> int:
    terminal = session.terminal
    terminal.say(f"Run {started.id} of [bold]{escape_text(started.scenario)}[/bold]")
    if started.url:
        terminal.say(escape_text(started.url))
    progress = Progress(session.coordinator, started.id, terminal, quiet=quiet)
    try:
        ended = _watch_or_stop(session, progress, started, timeout)
    except BrokenPipeError:
        say_that_it_continues(terminal, started)
        raise
    code = exit_codes.find_exit_code(ended)
    try:
        _write_results(session, ended, junit)
    except CommandRefused as error:
        # A report that cannot be written does not change the outcome, but the command must not exit with 0.
        terminal.complain(str(error))
        return code or exit_codes.REFUSED
    return code


def _watch_or_stop(session: Session, progress: Progress, started: Run, timeout: float | None) -> Run:
    """Follow to the end; the timeout or the first Ctrl-C stops the run, the next Ctrl-C exits."""
    deadline = None if timeout is None else Deadline(timeout)
    reason = ""
    with Interrupts() as interrupts:
        try:
            return _explain_outage(partial(progress.follow, deadline), started)
        except KeyboardInterrupt:
            reason = "the command was interrupted"
            _say_that_it_is_stopped(session.terminal, "Press Ctrl-C again to exit without waiting.")
        except WaitTimeoutError as error:
            reason = f"it had not ended within the '--timeout' of {format_duration(timeout or 0)}"
            session.terminal.complain(str(error))
            interrupts.hold()
            _say_that_it_is_stopped(session.terminal, "Press Ctrl-C to exit without waiting.")
        session.coordinator.stop_run(started.id, reason)
        interrupts.release()
        return _explain_outage(progress.follow, started)


def _say_that_it_is_stopped(terminal: Terminal, hint: str) -> None:
    terminal.say(f"[yellow]Stopping the run and undoing its faults. {hint}[/yellow]")


def _write_results(session: Session, ended: Run, junit: Path | None) -> None:
    if junit is not None:
        replace_file(junit, session.coordinator.render_report(ended.id, "junit"))
    if session.terminal.wants_json:
        session.terminal.text(session.coordinator.render_report(ended.id, "json"))


def _explain_outage(watched: Callable[[], Run], started: Run) -> Run:
    try:
        return watched()
    except UnavailableError as error:
        command = quote_command(f"follow {started.short_id}")
        raise UnavailableError(
            f"{error} The run may continue; show it with {command} once the coordinator responds."
        ) from error
