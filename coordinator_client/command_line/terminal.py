"""Output of the commands: lines and colours for people, JSON for programs."""

import json
import os
import re
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console, RenderableType
from rich.markup import escape

from coordinator_client.errors import CoordinatorError
from coordinator_client.records import OUTCOMES, Event, FeedEvent, Record, Run

if TYPE_CHECKING:
    from rich.status import Status

# Reasons contain what targets answered, which must not control the terminal.
_CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape_text(text: object) -> str:
    """The text on one line, with control characters and rich's markup escaped."""
    return escape(_escape_control(text))


def _escape_control(text: object) -> str:
    return _CONTROL_CHARACTERS.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


UNLIMITED_WIDTH = 100_000


class PipeConsole(Console):
    """Raises BrokenPipeError where the reader of the output has gone; rich itself would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Terminal:
    """With `wants_json`, standard output has only JSON, and everything else goes to standard error."""

    def __init__(
        self,
        *,
        wants_json: bool = False,
        no_color: bool = False,
        write: Callable[[str], object] | None = None,
    ) -> None:
        self.wants_json = wants_json
        self._write = write or sys.stdout.write
        self._has_document = False
        # rich respects TERM=dumb, and writes no control characters if this is not a terminal. With NO_COLOR,
        # it would still write in bold.
        colors: Literal["auto"] | None = None if no_color or os.environ.get("NO_COLOR") else "auto"
        self.out = PipeConsole(highlight=False, soft_wrap=True, color_system=colors)
        self.errors = PipeConsole(highlight=False, soft_wrap=True, color_system=colors, stderr=True)
        if not is_person(self.out):
            self.out.width = UNLIMITED_WIDTH  # so that each row is one line

    @property
    def talk(self) -> Console:
        """The console for messages to a person."""
        return self.errors if self.wants_json else self.out

    def say(self, markup: str) -> None:
        self.talk.print(markup)

    def show_error(self, error: CoordinatorError) -> None:
        """With `wants_json`, for programs: as the only document, or as the last line of many."""
        if self.wants_json and not self._has_document:
            self.line(describe_error(error))

    def complain(self, sentence: str) -> None:
        self.errors.print(f"[red]{escape_text(sentence)}[/red]")

    def check_reader(self) -> None:
        """Raise BrokenPipeError if the reader has gone, which a verb that waits cannot notice by writing."""
        try:
            descriptor = sys.stdout.fileno()
        except (OSError, ValueError):  # not a file
            return
        if hasattr(select, "poll"):  # not on Windows
            watched = select.poll()
            watched.register(descriptor, 0)
            if any(found & select.POLLERR for _, found in watched.poll(0)):
                raise BrokenPipeError

    def document(self, value: Any) -> None:
        """Write the command's only JSON document."""
        self._has_document = True
        self._write(dump_json(value, indent=2, ensure_ascii=False) + "\n")

    def text(self, content: bytes) -> None:
        """Write a complete document unchanged."""
        self._has_document = True
        self._write(content.decode())

    def line(self, value: Any) -> None:
        """Write one of many JSON documents, on one line."""
        self._write(dump_json(value, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def result(self, value: Any, markup: str) -> None:
        """Write the one result of a command: JSON for programs, a line for people."""
        if self.wants_json:
            self.document(value)
        else:
            self.say(markup)

    def rows(self, items: Sequence[Any], columns: Mapping[str, Iterable[object]], *, empty: str) -> None:
        """Write the items as JSON or as a table; without items, say `empty` on standard error.

        A pipe gets nothing then: `runs | wc -l` counts no sentence. If this is not a terminal, tabs separate
        the cells and there is no heading, so that `cut` can read it.
        """
        if self.wants_json:
            self.document({"items": items})
        elif not items:
            if empty:
                self.errors.print(empty)
        elif not is_person(self.out):
            for row in zip(*columns.values(), strict=True):
                self._write("\t".join(map(_escape_control, row)) + "\n")
        else:
            from rich.table import Table  # noqa: PLC0415 - slow, and not for JSON

            table = Table(box=None)
            for number, name in enumerate(columns):
                # In a narrow terminal the names in the first column stay whole, so that they can be copied.
                table.add_column(name, overflow="fold", no_wrap=number == 0)
            for row in zip(*columns.values(), strict=True):
                table.add_row(*(escape_text(cell) for cell in row))
            self.out.print(table)

    @contextmanager
    def status(self, words: RenderableType) -> Iterator["Status | None"]:
        """Show a line that changes while waiting; None if this is not a terminal."""
        if not is_person(self.talk) or self.talk.is_dumb_terminal:
            yield None
            return
        with self.talk.status(words) as status:
            yield status


def is_person(console: Console) -> bool:
    """Whether a terminal shows this: with FORCE_COLOR, rich takes a pipe for one, too."""
    return console.file.isatty()


def describe_error(error: CoordinatorError) -> dict[str, Any]:
    """`errors` has the single errors as the API sends them."""
    return {
        "error": {
            "code": error.code,
            "status": error.status,
            "detail": str(error),
            "errors": getattr(error, "errors", []),
        }
    }


def dump_json(value: Any, **how: Any) -> str:
    """Standard JSON, with NaN and the infinities as text."""
    try:
        return json.dumps(value, allow_nan=False, default=_encode, **how)
    except ValueError:
        readable = json.loads(json.dumps(value, default=_encode), parse_constant=str)
        return json.dumps(readable, **how)


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Run):
        return add_earlier_run_names(value.raw)
    if isinstance(value, FeedEvent):
        return {"id": value.position, **value.raw}
    if isinstance(value, Event):
        return {**value.raw, "subject": value.step, "detail": value.data}
    if isinstance(value, Record):
        return value.raw
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def format_time(moment: datetime) -> str:
    """As the API writes times: RFC 3339 in UTC, to the millisecond where there is a fraction."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z"


def format_minute(moment: datetime) -> str:
    """For people, in UTC, which the caller says."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def add_earlier_run_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The names that `--json` gave these fields before; they go with the next release."""
    has_ended = fields["status"] in OUTCOMES
    return {
        **fields,
        "state": "finished" if has_ended else fields["status"],
        "outcome": fields["status"] if has_ended else "",
        "started_by": fields["created_by"] or "",
        "started_from": fields["origin"],
        "queued_at": fields["created_at"],
        "began_at": fields["started_at"],
    }
