"""Two runs side by side: over the API and on the command line, what the control room's page shows."""

import uuid
from datetime import timedelta

import pytest

from scenarios.models import Run
from tests.command_line import CommandLine
from tests.integration.scenarios.api.conftest import Program, read_problem
from tests.integration.scenarios.story_rows import NOTICED, Telling

pytestmark = pytest.mark.django_db


def tell(seconds: float, **fields: object) -> Run:
    """A run whose validation passed after so long; the fields are written afterwards."""
    telling = Telling()
    telling.begin()
    telling.tell("validation_passed", NOTICED, attempts=3, time_to_pass=seconds, seen={"status": 200})
    telling.finish()
    Run.objects.filter(pk=telling.run.pk).update(**fields)
    return Run.objects.get(pk=telling.run.pk)


@pytest.fixture
def two_runs() -> tuple[Run, Run]:
    """The earlier one, and a slower one with another variable, document and environment."""
    first = tell(0.8, variables={"delay_ms": 500, "rate": 1})
    document = first.document + "# a note\n"
    later = {"queued_at": first.queued_at + timedelta(seconds=1), "environment": "staging"}
    return first, tell(2.4, variables={"delay_ms": 700}, document=document, **later)


def test_a_comparison_has_what_differs_and_the_figures_of_both(
    ci: Program, two_runs: tuple[Run, Run]
) -> None:
    first, second = two_runs
    found = ci.get(f"runs/{second.pk}/comparison?other={first.pk}").json()
    assert (found["run"]["id"], found["other"]["id"]) == (str(second.pk), str(first.pk))
    assert (found["run"]["environment"], found["other"]["environment"]) == ("staging", "")
    of_run = ci.get(f"runs/{second.pk}").json()
    assert found["run"].items() <= of_run.items()
    assert found["variables"] == {
        "delay_ms": {"value": 700, "other": 500},
        "rate": {"value": None, "other": 1},
    }
    assert [line for line in found["document"] if line.startswith(("+", "-"))] == ["+# a note"]
    (figure,) = [row for row in found["figures"] if row["figure"] == "time_to_pass"]
    assert (figure["validation"], figure["value"], figure["other"]) == (NOTICED, 2.4, 0.8)


def test_without_another_run_the_last_one_that_passed_is_chosen(
    ci: Program, two_runs: tuple[Run, Run]
) -> None:
    first, second = two_runs
    assert ci.get(f"runs/{second.pk}/comparison").json()["other"]["id"] == str(first.pk)
    Run.objects.filter(pk=first.pk).update(scenario=None)
    assert "no other run" in read_problem(ci.get(f"runs/{second.pk}/comparison"), 404)["detail"]
    read_problem(ci.get(f"runs/{second.pk}/comparison?other={uuid.uuid4()}"), 404)
    read_problem(ci.get(f"runs/{second.pk}/comparison?other=x"), 422)
    read_problem(ci.get(f"runs/{second.pk}/comparison?with={first.pk}"), 422)


def test_the_command_line_shows_it_to_people_and_programs(
    either: CommandLine, two_runs: tuple[Run, Run]
) -> None:
    first, second = two_runs
    said = either("compare", second.short_id, first.short_id)
    assert said.code == 0, said.err
    for words in (
        f"This run:  {second.short_id} of exchange-latency",
        "environment: staging, the other -",
        "delay_ms: 700, the other 500",
        "+# a note",
        f"time to pass, {NOTICED} (chaos)\t2.4s\t800ms",
    ):
        assert words in said.out
    assert either("compare", "latest").out == said.out
    found = either("compare", second.id, "--json").json
    assert found["variables"]["delay_ms"] == {"value": 700, "other": 500}
    assert found["other"]["id"] == str(first.pk)
    same = either("compare", first.id, first.id).out
    assert "Both have the same variables and the same document." in same
    assert either("compare", first.id, "zz").code == 7
    Run.objects.filter(pk=second.pk).update(scenario=None)
    missing = either("compare", first.id)
    assert (missing.code, "There is no other run of this scenario" in missing.err) == (7, True)
