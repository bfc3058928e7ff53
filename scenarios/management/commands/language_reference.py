"""`manage.py language_reference`: the language's reference and JSON Schema, with this site's drivers."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from scenarios.drivers.documents import describe_language
from scenarios.drivers.installed import installed_drivers
from scenarios.language.reference import build_reference
from scenarios.suites.documents import describe_suites

REFERENCE = Path("docs/scenario-language.md")
SCHEMA = Path("docs/scenario.schema.json")
SUITE_SCHEMA = Path("docs/suite.schema.json")


def render_files() -> dict[Path, str]:
    """The files' contents, by path in the project."""
    return {
        REFERENCE: build_reference(installed_drivers()),
        SCHEMA: _format_schema(describe_language()),
        SUITE_SCHEMA: _format_schema(describe_suites()),
    }


def _format_schema(schema: Any) -> str:
    return f"{json.dumps(schema, indent=2, ensure_ascii=False)}\n"


class Command(BaseCommand):
    help = "Print the reference of the scenario language, or write it and the JSON Schemas to docs/."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--write",
            action="store_true",
            help=f"Write {REFERENCE}, {SCHEMA} and {SUITE_SCHEMA} instead of printing.",
        )

    def handle(self, *_arguments: Any, write: bool, **_options: Any) -> None:
        if not write:
            self.stdout.write(render_files()[REFERENCE])
            return
        for path, content in render_files().items():
            (settings.BASE_DIR / path).write_text(content)
            self.stdout.write(f"Wrote {path}.")
