"""`scenario schedules`, `pause` and `resume`, by this machine's database."""

import pytest
from django.contrib.auth.models import User

from scenarios.models import Schedule
from tests.command_line import CommandLine
from tests.integration.scenarios import planned_rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def nightly(db: None) -> Schedule:
    planned_rows.stored()
    return planned_rows.scheduled(User.objects.create_superuser("ada"), cron="30 2 * * *")


def test_schedules_are_listed_as_table_and_json(scenario: CommandLine, nightly: Schedule) -> None:
    line = scenario("schedules").out.splitlines()[0]
    assert [word in line for word in ("nightly", "break-exchange", "30 2 * * *", "02:30", "ada")] == [
        True
    ] * 5
    (told,) = scenario("schedules", "--json").json["items"]
    assert (told["name"], told["paused"]) == ("nightly", False)


def test_empty_list_of_schedules_gives_a_hint(scenario: CommandLine) -> None:
    assert "There are no schedules" in scenario("schedules").err
    refused = scenario("pause", "nightly")
    assert (refused.code, "There is no schedule 'nightly'" in refused.err) == (7, True)


def test_schedule_is_paused_and_resumed(scenario: CommandLine, nightly: Schedule) -> None:
    assert scenario("pause", "nightly").out.startswith("nightly is paused")
    nightly.refresh_from_db()
    assert (nightly.is_paused, nightly.next_at) == (True, None)
    assert "02:30 UTC" in scenario("resume", "nightly").out
    nightly.refresh_from_db()
    assert not nightly.is_paused


def test_invalid_schedule_is_not_resumed(scenario: CommandLine, nightly: Schedule) -> None:
    Schedule.objects.update(is_paused=True, next_at=None, time_zone="Mars/Olympus")
    refused = scenario("resume", "nightly")
    assert (refused.code, "'nightly' cannot be resumed: " in refused.err) == (2, True)
    assert "unknown time zone 'Mars/Olympus'" in refused.err
