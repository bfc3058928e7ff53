"""`manage.py up` looks after what it started, even where its first scenario has to wait for somebody."""

from pathlib import Path

import pytest
from rich.console import Console

from coordinator_client.command_line import exit_codes
from coordinator_site.demo_system import FIRST_SCENARIO
from coordinator_site.management.commands.up import Command
from scenarios.domain.outcomes import RunState
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services as registered_services
from scenarios.models import Run

CATALOGUE = Path(__file__).parents[3] / "scenarios" / "catalogue"


@pytest.mark.django_db
@pytest.mark.timeout(300)
def test_a_first_scenario_that_awaits_approval_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    stored_scenarios.save_scenario(
        documents.read_document((CATALOGUE / f"{FIRST_SCENARIO}.yaml").read_text())
    )
    feed = registered_services.register_service("price-feed", "http://127.0.0.1:1")
    feed.is_protected = True
    registered_services.save_service(feed)
    command = Command()
    command.console = Console(highlight=False, soft_wrap=True)
    assert command.run_first_scenario(once=False) == exit_codes.DONE
    assert "Waiting: it needs the approval of a second person" in capsys.readouterr().out
    assert Run.objects.get().state == RunState.AWAITING_APPROVAL
