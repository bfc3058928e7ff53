"""`manage.py scenario …` in this process: its exit code and its output."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import CommandError, call_command

MAKE_SCHEDULE = """
from pathlib import Path
from django.contrib.auth.models import User
from scenarios.planning import schedules
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.models import Schedule
document = Path("scenarios/catalogue/exchange-errors.yaml").read_text()
scenario = stored_scenarios.save_scenario(documents.read_document(document))
schedule = Schedule(name="nightly", scenario_name=scenario.name, cron="30 2 * * *")
schedules.save_schedule(schedule, by=User.objects.filter(is_superuser=True).first())
"""


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> Said:
        self._capsys.readouterr()
        code, refused = 0, ""
        try:
            call_command("scenario", *map(str, words))
        except CommandError as error:
            code, refused = error.returncode, str(error)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        said = self._capsys.readouterr()
        return Said(code, said.out, said.err + refused)
