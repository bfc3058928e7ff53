"""`manage.py scenario …`: its verbs are thin ways to services.py. Exit codes stand in README."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scenarios import services
from scenarios.domain.errors import CannotBegin, InvalidDocument, InvalidVariables, Problem
from scenarios.domain.experiments.translation import TranslationRefused
from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.domain.variables import pairs
from scenarios.execution import undo_now
from scenarios.models import Run, Scenario
from scenarios.progress import EXIT_CODES, INVALID, Progress, exit_code
from scenarios.reports import FORMATS
from scenarios.reports import report as write_report

# An id's first characters are looked for among the newest runs.
SEARCHED_RUNS = 10_000
SUFFIXES = (".yaml", ".yml", ".json")


class Command(BaseCommand):
    help = "Stores, runs and looks after scenarios."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self._verb(verbs, self.list_scenarios, "list", "The stored scenarios and their last verdicts.")
        files = "Documents, or folders of them (.yaml, .yml, .json)."
        validate = self._verb(verbs, self.validate, "validate", "Check documents; nothing is stored.")
        validate.add_argument("files", nargs="+", type=Path, help=files)
        importing = self._verb(verbs, self.import_files, "import", "Store documents: all of them, or none.")
        importing.add_argument("files", nargs="+", type=Path, help=files)
        run = self._verb(verbs, self.run, "run", "Run a scenario and follow it to its verdict.")
        run.add_argument("scenario", help="The name of a stored scenario, or a document's file.")
        run.add_argument("--var", action="append", default=[], metavar="NAME=VALUE", dest="variables")
        run.add_argument("--detach", action="store_true", help="Print the run's id and do not follow.")
        runs = self._verb(verbs, self.list_runs, "runs", "The newest runs.")
        runs.add_argument("--limit", type=int, default=20)
        run.add_argument(
            "--no-wait", action="store_true", help="Refuse the run where another holds its services."
        )
        stop = self._verb(verbs, self.stop, "stop", "End a run, or all of them; faults are undone.")
        stop.add_argument("run", nargs="?", default="", help="The run's id, or its first characters.")
        stop.add_argument("--all", action="store_true", dest="everything", help="The global stop.")
        stop.add_argument("--reason", default="", help="Of the global stop; whoever waits is told.")
        self._verb(verbs, self.release, "release", "Release the global stop: runs may begin again.")
        report = self._verb(verbs, self.report, "report", "Write what a run did: the page's own report.")
        report.add_argument("run", help="The run's id, or its first characters.")
        report.add_argument("--format", choices=list(FORMATS), default="html", dest="format_name")
        report.add_argument("-o", "--output", type=Path, metavar="FILE", help="Default: standard output.")
        undo = self._verb(verbs, self.undo, "undo", "Undo what a run has left behind.")
        undo.add_argument("run", help="The run's id, or its first characters.")

    def _verb(self, verbs: Any, function: Callable[..., int], name: str, help_text: str) -> ArgumentParser:
        parser: ArgumentParser = verbs.add_parser(name, help=help_text, description=help_text)
        parser.set_defaults(function=function)
        return parser

    def handle(self, *_arguments: Any, function: Callable[..., int], **options: Any) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        code = function(**options)
        if code:
            sys.exit(code)

    # Scenarios

    def list_scenarios(self, **_options: Any) -> int:
        table = Table("Name", "Title", "Last run", box=None)
        for scenario in Scenario.objects.all():
            last = scenario.runs.first()
            table.add_row(scenario.name, escape(scenario.title), last.verdict if last else "-")
        self.console.print(table)
        return 0

    def validate(self, files: list[Path], **_options: Any) -> int:
        invalid = 0
        for file in documents_in(files):
            if self.readable(file) is None:
                invalid += 1
            else:
                self.console.print(f"{escape(str(file))}: valid")
        return INVALID if invalid else 0

    def import_files(self, files: list[Path], **_options: Any) -> int:
        invalid = False
        with transaction.atomic():
            for file in documents_in(files):
                if (found := self.readable(file)) is None:
                    invalid = True
                    continue
                scenario = services.save_scenario(found.document)
                self.console.print(
                    f"{escape(str(file))}: stored as {scenario.name}", style="dim" if invalid else None
                )
            transaction.set_rollback(invalid)
        if invalid:
            self.console.print("[red]Nothing was stored.[/red]")
        return INVALID if invalid else 0

    def readable(self, file: Path) -> services.Import | None:
        """What the file holds; None, with every problem shown, where it is refused."""
        try:
            found = services.read_for_import(file.read_bytes())
        except TranslationRefused as error:
            self.show_left_out(file, error.translation.left_out)
            self.show_refused_translation(file, error)
            return None
        except InvalidDocument as error:
            self.show_problems(file, error)
            return None
        self.show_left_out(file, found.left_out)
        return found

    def show_left_out(self, file: Path, left_out: Sequence[Problem]) -> None:
        for problem in left_out:
            place = f"{file}:{problem.line}:{problem.column}"
            hint = f" ({problem.hint})" if problem.hint else ""
            self.console.print(f"[yellow]{escape(place)}[/yellow]: {escape(problem.message + hint)}")

    def show_refused_translation(self, file: Path, error: TranslationRefused) -> None:
        for problem in error.problems:
            hint = f" ({problem.hint})" if problem.hint else ""
            where = f"{file}: in the scenario made of it, {problem.path}"
            self.console.print(f"[red]{escape(where)}[/red]: {escape(problem.message + hint)}")

    def show_problems(self, file: Path, error: InvalidDocument) -> None:
        for problem in error.problems:
            place = f"{file}:{problem.line}:{problem.column}"
            hint = f" ({problem.hint})" if problem.hint else ""
            self.console.print(f"[red]{escape(place)}[/red]: {escape(problem.message + hint)}")

    # Runs

    def run(
        self, scenario: str, variables: list[str], *, detach: bool, no_wait: bool, **_options: Any
    ) -> int:
        try:
            run = self.start(scenario, pairs(variables), wait=not no_wait)
        except InvalidDocument as error:
            self.show_problems(Path(scenario), error)
            return INVALID
        except (InvalidVariables, CannotBegin) as error:
            self.console.print(f"[red]{escape(str(error))}[/red]")
            return INVALID
        if detach:
            self.console.print(str(run.id))
            if run.waiting_for:
                self.stderr.write(f"Waiting: {run.waiting_for}.")
            return 0
        return self.follow(run)

    def start(self, name: str, variables: dict[str, str], *, wait: bool) -> Run:
        if Path(name).suffix in SUFFIXES:
            source = services.read_document(read_file(Path(name))).source
            return services.start_run(source, variables, origin="cli", wait=wait)
        stored = Scenario.objects.filter(name=name).first()
        if stored is None:
            known = ", ".join(Scenario.objects.values_list("name", flat=True)) or "none: import some first"
            raise refused(f"There is no scenario {name!r}. Stored are {known}.")
        return services.start_run(stored.document, variables, origin="cli", scenario=stored, wait=wait)

    def follow(self, run: Run) -> int:
        self.console.print(f"Run {run.id} of [bold]{escape(run.scenario_name)}[/bold]")
        progress = Progress(run, self.console)
        try:
            return exit_code(progress.follow())
        except KeyboardInterrupt:
            self.console.print(
                "[yellow]Stopping the run and undoing its faults; Ctrl-C again leaves it alone.[/yellow]"
            )
            services.request_stop(run, by="Ctrl-C in the terminal")
            return exit_code(progress.follow())

    def list_runs(self, limit: int, **_options: Any) -> int:
        table = Table("Run", "Scenario", "Queued", "Verdict", "Reason", box=None)
        for run in Run.objects.all()[:limit]:
            queued = f"{run.queued_at:%Y-%m-%d %H:%M:%S}"
            table.add_row(str(run.id)[:8], run.scenario_name, queued, run.verdict, escape(run.reason))
        self.console.print(table)
        return 0

    def stop(self, run: str, *, everything: bool, reason: str, **_options: Any) -> int:
        if everything == bool(run):
            raise refused("Name one run, or stop them all with '--all'.")
        if everything:
            return self.stop_all(reason)
        row = find_run(run)
        if not services.request_stop(row, by="the command line"):
            self.console.print(f"Run {row.id} is {row.verdict}: there is nothing to stop.")
            return 0
        ended = Progress(row, self.console).follow()
        return 0 if ended.rollback == Rollback.CLEAN else EXIT_CODES[Outcome.ERRORED]

    def stop_all(self, reason: str) -> int:
        stopped = services.pull_global_stop(by="the command line", reason=reason or "no reason given")
        self.console.print(
            f"{stopped} runs are being stopped and their faults undone. No run begins until "
            "'manage.py scenario release'."
        )
        return 0

    def release(self, **_options: Any) -> int:
        was_pulled = services.release_global_stop()
        self.console.print("Runs may begin again." if was_pulled else "The global stop was not pulled.")
        return 0

    def report(self, run: str, format_name: str, output: Path | None, **_options: Any) -> int:
        content = write_report(find_run(run), format_name)
        if output is None:
            self.stdout.write(content.decode(), ending="")
            return 0
        try:
            output.write_bytes(content)
        except OSError as error:
            raise refused(f"{str(output)!r} cannot be written: {error.strerror}.") from error
        return 0

    def undo(self, run: str, **_options: Any) -> int:
        row = find_run(run)
        ended = undo_now(row)
        if ended is None:
            raise refused(
                f"Run {row.id} is {row.verdict} and held by {row.worker or 'nobody'}: it undoes its faults "
                f"when it ends. Stop it with 'manage.py scenario stop {str(row.id)[:8]}'."
            )
        left = ended.faults.to_undo()
        for fault in left:
            self.console.print(f"[red]{escape(fault.action)} is still injected[/red]: {escape(fault.reason)}")
        if not left:
            self.console.print("[green]Nothing is left injected.[/green]")
        return EXIT_CODES[Outcome.ERRORED] if left else 0


def documents_in(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
        else:
            files.append(path)
    if missing := [str(file) for file in files if not file.is_file()]:
        raise refused(f"There is no file {missing[0]!r}.")
    if not files:
        raise refused(f"There is no {', '.join(SUFFIXES)} file in {', '.join(map(str, paths))}.")
    return files


def read_file(file: Path) -> bytes:
    return documents_in([file])[0].read_bytes()


def find_run(prefix: str) -> Run:
    newest = Run.objects.values_list("id", flat=True)[:SEARCHED_RUNS]
    found = [run_id for run_id in newest if str(run_id).startswith(prefix.lower())]
    if len(found) != 1:
        what = "no run" if not found else f"{len(found)} runs"
        raise refused(
            f"There is {what} whose id begins with {prefix!r}: 'manage.py scenario runs' lists them."
        )
    return Run.objects.get(id=found[0])


def refused(sentence: str) -> CommandError:
    return CommandError(sentence, returncode=INVALID)
