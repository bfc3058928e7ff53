"""The verb import, which makes the stored scenarios match files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator_client.command_line import exit_codes
from coordinator_client.command_line.confirmation import add_yes, asks, confirm
from coordinator_client.command_line.coordinator import CommandRefused
from coordinator_client.command_line.deletions import find_subject, list_schedules, warn_of_schedules
from coordinator_client.command_line.files import find_files
from coordinator_client.command_line.reading import (
    FileProblem,
    Place,
    ReadFile,
    locate,
    read_files,
    show_problems,
)
from coordinator_client.command_line.scenario_verbs import FILES_HELP
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.verbs import Session, add_verb
from coordinator_client.command_line.wording import format_count
from coordinator_client.errors import Problem
from coordinator_client.records import Change

COLOURS = {"+": "green", "-": "red", "@": "cyan"}
DONE_WORDS = {"new": "stored", "changed": "changed", "unchanged": "unchanged", "removed": "removed"}
CHECKED_WORDS = {"new": "new", "changed": "changed", "unchanged": "unchanged", "removed": "would be removed"}


def add_to(verbs: Any) -> None:
    add_import(verbs, "Store scenarios and suites: all of the documents, or none if one is invalid.")


def add_import(verbs: Any, help_text: str) -> None:
    parser = add_verb(verbs, import_files, "import", help_text)
    parser.add_argument("files", nargs="+", type=Path, help=FILES_HELP)
    parser.add_argument(
        "--prune",
        action="store_true",
        help="Remove stored scenarios and suites that are in none of the folders; their runs stay. At a "
        "terminal, it shows them and asks.",
    )
    add_yes(parser)
    parser.add_argument(
        "--check",
        action="store_true",
        help="Store nothing; show what would change. Exits with 1 if anything would.",
    )
    parser.add_argument(
        "--name",
        default="",
        help="The scenario's name for one Chaos Toolkit experiment (default: made from its title).",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="Let a Chaos Toolkit experiment replace a stored scenario of the same name.",
    )


def import_files(
    session: Session,
    files: list[Path],
    *,
    prune: bool,
    check: bool,
    name: str,
    replace: bool,
    yes: bool,
    **_options: Any,
) -> int:
    if prune and (single := [file for file in files if not file.is_dir()]):
        raise CommandRefused(f"'--prune' works with folders only, but {str(single[0])!r} is not a folder.")
    read, problems = read_files(session, _list_files(files, name), name=name)
    twins = _find_duplicate_names(read)
    show_problems(session.terminal, twins)
    problems += twins
    changes: Sequence[Change] = []
    refused = any(problem.refused for problem in problems)
    if not refused:
        _check_name_option(read, name)
        if prune and not check and asks(session.terminal, yes=yes):
            _confirm_removals(session, read)
        changes = _store_or_compare(session, read, prune=prune, check=check, replace=replace)
    removed = _list_removed(changes)
    schedules = list_schedules(session.coordinator, removed)
    result = _Result(changes, problems, read, [schedule.name for schedule in schedules])
    _show_result(session.terminal, result, check=check, refused=refused)
    warn_of_schedules(session.terminal, schedules, done=not check)
    if refused:
        return exit_codes.REFUSED
    would_change = check and any(change.change != "unchanged" for change in changes)
    return exit_codes.WOULD_CHANGE if would_change else exit_codes.DONE


def _confirm_removals(session: Session, read: Sequence[ReadFile]) -> None:
    """Show what would be removed, with the schedules that start it, and ask.

    Raises:
        CommandRefused: the answer is not yes.
    """
    planned = session.coordinator.plan_changes([document for _, document in read], prune=True)
    if not (removed := _list_removed(planned)):
        return
    users: dict[tuple[str, str], list[str]] = {key: [] for key in removed}
    for schedule in list_schedules(session.coordinator, removed):
        users[find_subject(schedule)].append(repr(schedule.name))
    for (subject, name), names in users.items():
        used = f"; named by schedule {', '.join(names)}" if names else ""
        session.terminal.say(f"{subject} {escape_text(name)}: would be removed{escape_text(used)}")
    counts = Counter(subject for subject, _ in removed)
    words = " and ".join(format_count(count, subject) for subject, count in sorted(counts.items()))
    confirm(session.terminal, f"Remove {words}?", yes=False)


def _list_removed(changes: Sequence[Change]) -> list[tuple[str, str]]:
    return [(change.subject, change.name) for change in changes if change.change == "removed"]


def _list_files(files: list[Path], name: str) -> list[Path]:
    found = find_files(files)
    if name and len(found) > 1:
        raise CommandRefused(f"'--name' works with one file only, but there are {len(found)}.")
    return found


def _check_name_option(read: Sequence[ReadFile], name: str) -> None:
    if name and len(read) > 1:
        raise CommandRefused(f"'--name' works with one document only, but there are {len(read)}.")
    for place, document in read:
        if name and not document.is_translated:
            raise CommandRefused(
                f"'--name' works with Chaos Toolkit experiments only, but {str(place)!r} is a "
                f"{document.subject}; change its 'metadata.name' instead."
            )


def _store_or_compare(
    session: Session, read: Sequence[ReadFile], *, prune: bool, check: bool, replace: bool
) -> Sequence[Change]:
    """Store the documents. An experiment is named by its title, which may be another scenario's, too."""
    documents = [document for _, document in read]
    file_of = {document.name: place for place, document in read if document.is_translated and not replace}
    changes = session.coordinator.plan_changes(documents, prune=prune) if check or file_of else []
    taken = [
        change.name
        for change in changes
        if change.change == "changed" and change.subject == "scenario" and change.name in file_of
    ]
    if taken:
        raise CommandRefused(
            f"Scenario {taken[0]!r} is already stored with another document, and the title of the experiment "
            f"in {str(file_of[taken[0]])!r} gives the same name; choose another with '--name', or replace "
            "the scenario with '--replace'. Nothing was stored."
        )
    return (
        changes
        if check
        else session.coordinator.store_documents(documents, prune=prune, only_new=file_of.keys())
    )


def _find_duplicate_names(read: Sequence[ReadFile]) -> list[FileProblem]:
    """Two documents with one name are refused, because the last one would win."""
    first: dict[tuple[str, str], Place] = {}
    found = []
    for place, document in read:
        if (earlier := first.setdefault((document.subject, document.name), place)) is not place:
            message = f"{str(earlier)!r} has the name {document.name!r}, too"
            found.append(locate(place, Problem(1, 1, "metadata.name", message, "rename one of them")))
    return found


@dataclass(frozen=True, slots=True)
class _Result:
    """`schedules` are those that lose what they start."""

    changes: Sequence[Change]
    problems: Sequence[FileProblem]
    read: Sequence[ReadFile]
    schedules: Sequence[str]

    def as_json(self, *, stored: bool) -> dict[str, Any]:
        items = [
            {"name": change.name, "change": change.change, "subject": change.subject}
            for change in self.changes
        ]
        found = [problem.as_json() for problem in self.problems]
        return {"stored": stored, "changes": items, "problems": found, "schedules": self.schedules}


def _show_result(terminal: Terminal, result: _Result, *, check: bool, refused: bool) -> None:
    if terminal.wants_json:
        terminal.document(result.as_json(stored=not (check or refused)))
        return
    if refused:
        terminal.say("[red]Nothing was stored.[/red]")
        return
    file_of = {(document.subject, document.name): place for place, document in result.read}
    source_of = {(document.subject, document.name): document.source for _, document in result.read}
    words = CHECKED_WORDS if check else DONE_WORDS
    for change in result.changes:
        key = (change.subject, change.name)
        place = f" ({escape_text(file_of[key])})" if key in file_of else ""
        suite = "suite " if change.subject == "suite" else ""
        terminal.say(f"{suite}{escape_text(change.name)}: {words[change.change]}{place}")
        if check:
            _show_difference(terminal, change, source_of.get(key, ""), str(file_of.get(key, "")))


def _show_difference(terminal: Terminal, change: Change, after: str, file: str) -> None:
    """Like `git diff`, for changed documents only."""
    if change.change != "changed":
        return
    from difflib import unified_diff  # noqa: PLC0415 - slow, and not for other verbs

    lines = unified_diff(
        (change.before or "").splitlines(),
        after.splitlines(),
        f"stored/{change.name}",
        file,
        lineterm="",
    )
    for line in lines:
        colour = COLOURS.get(line[0], "default")
        terminal.say(f"[{colour}]{escape_text(line)}[/{colour}]")
