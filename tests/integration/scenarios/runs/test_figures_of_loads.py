"""p95 and error rate of loads are compared with earlier runs, and may fail a run."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.models import Run, RunFigures
from scenarios.runs import lifecycle
from scenarios.runs.comparisons import compare_run
from scenarios.runs.figures import FigureKey, digest_document, encode_figures
from scenarios.runs.history import read_history
from scenarios.runs.load_results import find_middles
from scenarios.runs.regressions import settle_figures
from tests.integration.scenarios.story_rows import DOCUMENT, Telling

pytestmark = pytest.mark.django_db
P95 = FigureKey("p95", "chaos", "shoppers")
ERRORS = FigureKey("error_rate", "chaos", "shoppers")


def store_earlier_runs(p95: float, error_rate: float, count: int = 5) -> list[Run]:
    now = timezone.now() - timedelta(hours=1)
    runs = []
    for number in range(count):
        run = Run.objects.create(
            scenario_name="exchange-latency",
            document=DOCUMENT,
            started_from="cli",
            state="finished",
            outcome="passed",
            rollback="clean",
            finished_at=now,
        )
        RunFigures.objects.create(
            run=run,
            version=digest_document(DOCUMENT),
            outcome="passed",
            recorded_at=now + timedelta(seconds=number),
            content=encode_figures({P95: p95, ERRORS: error_rate}),
        )
        runs.append(run)
    return runs


def carry_out(
    p95: float, error_rate: float, *, requests: int = 200, limits: dict[str, float] | None = None
) -> Run:
    telling = Telling()
    telling.tell("phase_started")
    telling.tell(
        "load_measured",
        "shoppers",
        phase="chaos",
        requests=requests,
        errors=round(requests * error_rate),
        error_rate=error_rate,
        p95=p95,
    )
    verdict = Verdict(Outcome.PASSED, "every validation held", Rollback.CLEAN)
    verdict = settle_figures(telling.claim, limits or {}, verdict)
    return lifecycle.finish_run(telling.claim, verdict, timezone.now())


def test_the_figures_of_a_load_have_their_usual_values_and_a_mark() -> None:
    store_earlier_runs(0.02, 0.0)
    run = carry_out(0.06, 0.001)
    found = {comparison.key: comparison for comparison in compare_run(read_history(run)).items}
    assert (found[P95].value_in_words, found[P95].usual_in_words) == ("60ms", "20ms")
    assert found[P95].is_unusual
    assert not found[ERRORS].is_unusual
    fields = found[P95].list_fields()
    assert (fields["load"], fields["validation"], fields["phase"]) == ("shoppers", "", "chaos")


def test_a_point_of_a_curve_stands_in_the_middle_of_its_time() -> None:
    assert find_middles([0, 1, 2, 5]) == [0.5, 1.5, 2.5, 5.5]
    assert find_middles([0, 4]) == [2.0, 6.0]
    assert find_middles([3]) == [3.5]


def test_a_percentile_of_too_few_requests_is_not_compared() -> None:
    run = carry_out(0.06, 0.0, requests=19)
    keys = {comparison.key for comparison in compare_run(read_history(run)).items}
    assert P95 not in keys
    assert ERRORS in keys


@pytest.mark.parametrize(
    ("p95", "error_rate", "reason"),
    [
        (0.05, 0.0, "the p95 of load 'shoppers' in phase 'chaos' was 50ms, more than 2x the median"),
        (0.02, 0.01, "the error rate of load 'shoppers' in phase 'chaos' was 1%, more than 2x the median"),
    ],
)
def test_a_run_whose_load_is_worse_than_allowed_fails(p95: float, error_rate: float, reason: str) -> None:
    store_earlier_runs(0.02, 0.0)
    run = carry_out(p95, error_rate, limits={"p95": 2.0, "error_rate": 2.0})
    assert run.outcome == Outcome.FAILED
    assert reason in run.reason


def test_a_share_of_errors_that_is_hardly_above_none_is_no_regression() -> None:
    store_earlier_runs(0.02, 0.0)
    assert carry_out(0.02, 0.002, limits={"error_rate": 2.0}).outcome == Outcome.PASSED


def test_the_pages_show_the_figures_of_loads(admin_client: Client) -> None:
    store_earlier_runs(0.02, 0.0)
    run, other = carry_out(0.06, 0.05), carry_out(0.021, 0.0)
    page = admin_client.get(reverse("admin:scenarios_run_change", args=[run.pk])).content.decode()
    assert "60ms" in page
    assert "p95 (shoppers)" in page
    compared = admin_client.get(
        reverse("admin:scenarios_run_compare", args=[run.pk]), {"with": str(other.pk)}
    ).content.decode()
    assert "60ms" in compared
    assert "5%" in compared


def test_the_scenario_page_shows_p95_and_error_rate_of_its_loads_by_version(admin_client: Client) -> None:
    first = carry_out(0.02, 0.0)
    address = reverse("admin:scenarios_scenario_change", args=[first.scenario_id])
    assert "Runs over time" not in admin_client.get(address).content.decode()
    carry_out(0.06, 0.01)
    RunFigures.objects.filter(run=first).update(version="that of another document")
    content = admin_client.get(address).content.decode()
    for figure, last in (("p95", "60ms"), ("error rate", "1%")):
        words = f"{figure} of load shoppers in the last 2 runs; in the last one: chaos {last}"
        assert f'aria-label="{words}"' in content
    rows = re.findall(
        r'<td class="number" data-name="Version">(.)</td><td class="number">(.+?)</td>', content
    )
    assert rows == [("1", "60ms"), ("-", "20ms"), ("1", "1%"), ("-", "0%")]
