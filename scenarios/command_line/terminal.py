"""What a command says: people's lines, colours where someone looks, JSON for programs."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from scenarios.domain.outputs import dump_json
from scenarios.records import (
    EventRecord,
    RunRecord,
    add_earlier_event_names,
    add_earlier_run_names,
    format_time,
    json_fields,
)

# What a target answered is shown in reasons: no character of it may steer the terminal.
_CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape_text(text: object) -> str:
    """The text as one line for a terminal: control characters written out, markup kept from being read."""
    return escape(
        _CONTROL_CHARACTERS.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))
    )


UNLIMITED_WIDTH = 100_000


class Terminal:
    """`wants_json`: one document (or one per line) on standard output, everything else on standard error."""

    def __init__(
        self,
        *,
        wants_json: bool = False,
        no_color: bool = False,
        write: Callable[[str], object] | None = None,
    ) -> None:
        self.wants_json = wants_json
        self._write = write or sys.stdout.write
        # NO_COLOR and TERM=dumb are rich's own; where nobody looks it writes no control characters.
        self.out = Console(highlight=False, soft_wrap=True, no_color=no_color or None)
        self.errors = Console(highlight=False, soft_wrap=True, no_color=no_color or None, stderr=True)
        if not self.out.is_terminal:
            self.out.width = UNLIMITED_WIDTH  # where nobody looks a row is a line, however long

    @property
    def talk(self) -> Console:
        """Where a person is talked to."""
        return self.errors if self.wants_json else self.out

    def say(self, markup: str) -> None:
        self.talk.print(markup)

    def complain(self, sentence: str) -> None:
        self.errors.print(f"[red]{escape_text(sentence)}[/red]")

    def document(self, value: Any) -> None:
        """The one JSON document of this command."""
        self._write(dump_json(value, default=_encode, indent=2, ensure_ascii=False) + "\n")

    def text(self, content: bytes) -> None:
        """What is a document already, as it is."""
        self._write(content.decode())

    def line(self, value: Any) -> None:
        """One of many JSON documents, each on a line."""
        self._write(dump_json(value, default=_encode, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def rows(self, items: Sequence[Any], columns: Mapping[str, Iterable[object]], *, empty: str) -> None:
        """The items as JSON, or as a table of columns; a sentence where there are none."""
        if self.wants_json:
            self.document({"items": items})
        elif not items:
            self.say(empty)
        else:
            table = Table(*columns, box=None)
            for row in zip(*columns.values(), strict=True):
                table.add_row(*(escape_text(cell) for cell in row))
            self.out.print(table)

    @contextmanager
    def status(self, words: str) -> Iterator[Status | None]:
        """A line that changes while one waits; None where nobody looks."""
        if not self.talk.is_terminal or self.talk.is_dumb_terminal:
            yield None
            return
        with self.talk.status(words) as status:
            yield status


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, RunRecord):
        return add_earlier_run_names(json_fields(value), began_at="started_at")
    if isinstance(value, EventRecord):
        return add_earlier_event_names(json_fields(value))
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
