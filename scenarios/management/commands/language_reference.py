"""`manage.py language_reference`: reference and JSON Schema of the language with the site's drivers."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from scenarios.drivers.installed import installed_drivers
from scenarios.drivers.platform import step_arguments
from scenarios.language.reference import build_reference
from scenarios.language.schema import json_schema

REFERENCE = Path("docs/scenario-language.md")
SCHEMA = Path("docs/scenario.schema.json")


def render_files() -> dict[Path, str]:
    """What each file holds, by its path in the project."""
    schema = json.dumps(json_schema(step_arguments()), indent=2, ensure_ascii=False)
    return {REFERENCE: build_reference(installed_drivers()), SCHEMA: f"{schema}\n"}


class Command(BaseCommand):
    help = "Prints the reference of the scenario language, or writes it and the JSON Schema into docs/."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true", help=f"Write {REFERENCE} and {SCHEMA}.")

    def handle(self, *_arguments: Any, write: bool, **_options: Any) -> None:
        if not write:
            self.stdout.write(render_files()[REFERENCE])
            return
        for path, content in render_files().items():
            (settings.BASE_DIR / path).write_text(content)
            self.stdout.write(f"{path} is written")
