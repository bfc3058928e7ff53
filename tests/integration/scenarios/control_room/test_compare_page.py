"""Two runs of a scenario beside each other: what differed first, then how each went."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from scenarios.domain.looks import Look
from scenarios.models import Fault, LookChunk, Run, Scenario
from scenarios.pictures.compared_runs import find_origin
from scenarios.published.looks import encode_looks
from scenarios.runs import measured_runs
from scenarios.runs.history import read_history
from tests.integration.scenarios.runs.test_regressions import BACK, carry_out

pytestmark = pytest.mark.django_db


def compare(client: Client, run: Run, other: str = "") -> str:
    address = reverse("admin:scenarios_run_compare", args=[run.pk])
    answer = client.get(address, {"with": other} if other else {})
    assert answer.status_code == 200
    return answer.content.decode()


def find_lines(content: str) -> list[tuple[str, str]]:
    return re.findall(r'<span class="line (added|removed)">(.*?)</span>', content)


def test_differences_of_variables_and_documents_come_first(admin_client: Client) -> None:
    first, second = carry_out(2.0), carry_out(3.0)
    document = second.document.replace("delay_ms", "pause_ms")
    Run.objects.filter(pk=second.pk).update(variables={"delay_ms": 900}, document=document)
    content = compare(admin_client, second, str(first.pk))
    assert content.index("Differences") < content.index("Figures") < content.index("Timelines")
    assert '<td data-name="This run">900</td>' in content
    lines = find_lines(content)
    assert {kind for kind, _text in lines} == {"added", "removed"}
    assert all("pause_ms" in text for kind, text in lines if kind == "added")


def test_runs_of_two_environments_differ_and_that_of_the_same_one_is_chosen_first(
    admin_client: Client,
) -> None:
    same, other, run = (carry_out(2.0) for _number in range(3))
    Run.objects.filter(pk__in=[same.pk, run.pk]).update(environment="staging")
    assert f'<option value="{same.pk}" selected>' in compare(admin_client, run)
    content = compare(admin_client, run, str(other.pk))
    assert "<td>Environment</td>" in content
    assert '<td data-name="This run">staging</td>' in content
    assert "<td>Environment</td>" not in compare(admin_client, run)


def test_equal_runs_have_no_differences_but_their_own_figures(admin_client: Client) -> None:
    first, second = carry_out(2.0), carry_out(3.0)
    content = compare(admin_client, second, str(first.pk))
    assert "Both runs have the same variables." in content
    assert "Both runs have the same document." in content
    row = re.search(rf"time to pass \({BACK}\).*?</tr>", content)
    assert row is not None
    assert re.findall(r"<td class=\"number\"[^>]*>([^<]*)<", row[0]) == ["3s", "2s"]


def test_the_last_earlier_passed_run_is_chosen_unless_another_is_asked_for(admin_client: Client) -> None:
    first, second, third = (carry_out(2.0) for _number in range(3))
    Run.objects.filter(pk=second.pk).update(outcome="failed")
    for other, chosen in (("", first), (str(second.pk), second), ("nonsense", first), (str(third.pk), first)):
        assert f'<option value="{chosen.pk}" selected>' in compare(admin_client, third, other)


def test_a_run_alone_and_one_without_a_scenario_have_nothing_to_compare_with(admin_client: Client) -> None:
    run = carry_out(2.0)
    assert "There is no other run of this scenario" in compare(admin_client, run)
    carry_out(2.0)
    Run.objects.filter(pk=run.pk).update(scenario=None)
    assert "There is no other run of this scenario" in compare(admin_client, run)


def test_timelines_and_charts_are_counted_from_the_injection(admin_client: Client) -> None:
    first, second = carry_out(2.0), carry_out(2.0)
    # The second one is injected three seconds later after its beginning.
    for fault in Fault.objects.filter(run=second):
        assert fault.injected_at is not None
        Fault.objects.filter(pk=fault.pk).update(injected_at=fault.injected_at + timedelta(seconds=3))
    for run in (first, second):
        origin = find_origin(read_history(run)).timestamp()
        looks = [Look(origin + after, True, 0.25) for after in (-0.5, 0.5)]
        LookChunk.objects.create(
            run=run,
            attempt=1,
            series=0,
            number=0,
            phase="recovery",
            validation=BACK,
            about="exchange",
            count=2,
            content=encode_looks(looks),
        )
    content = compare(admin_client, second, str(first.pk))
    faults = re.findall(r'<rect class="fault" x="([\d.]+)"', content)
    assert len(faults) >= 4
    # In both timelines, the fault begins at the same place.
    assert faults[0] == faults[1]
    chart = re.search(r'<figure class="chart">.*?</figure>', content, re.DOTALL)
    assert chart is not None
    assert "0 = the first injection" in chart[0]
    paths = re.findall(r'class="series series-\d" d="([^"]+)"', chart[0])
    assert len(paths) == 2
    # Looks are kept to the millisecond, so each line may begin a point earlier or later.
    this, other = (float(path[1:].partition(" ")[0]) for path in paths)
    assert this == pytest.approx(other, abs=5)


def test_scenario_page_shows_its_runs_by_version(admin_client: Client) -> None:
    first = carry_out(2.0)
    carry_out(4.0)
    assert first.scenario is not None
    scenario = Scenario.objects.get(pk=first.scenario.pk)
    address = reverse("admin:scenarios_scenario_change", args=[scenario.pk])
    content = admin_client.get(address).content.decode()
    picture = re.search(r'aria-label="(The last 2 runs[^"]*)"', content)
    assert picture is not None
    assert picture[1] == "The last 2 runs, 2 of them passed; time to recover, the last at the end: 2s, 4s"
    scenario.document += "# another version\n"
    scenario.save()
    measured = measured_runs.list_measured_runs(scenario)
    assert [figures.version for figures in measured] == [1, 1]


def test_a_single_run_is_no_history(admin_client: Client) -> None:
    run = carry_out(2.0)
    address = reverse("admin:scenarios_scenario_change", args=[run.scenario_id])
    assert "Runs over time" not in admin_client.get(address).content.decode()
