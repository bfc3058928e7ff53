"""What the matrix shows, on its page, in its badge and as counts."""

from xml.etree import ElementTree as ET

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from scenarios.domain.suite_states import CellState, ShownState
from scenarios.models import Service, Suite, SuiteCell
from scenarios.suites.badge import compute_key, describe_state
from scenarios.suites.matrix import count_cells, read_matrix
from tests.integration.scenarios.planned_rows import someone
from tests.integration.scenarios.suites.matrix_rows import prove
from tests.integration.scenarios.suites.suite_rows import (
    REFUSED,
    SLOW,
    TEXT,
    register_services,
    save_catalogue,
    store_suite,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def suite() -> Suite:
    register_services()
    save_catalogue(SLOW, REFUSED, "dependency-hangs", "redis-paused", "cpu-busy")
    return store_suite()


@pytest.fixture
def proved(suite: Suite) -> Suite:
    prove(suite, "slow", CellState.DEGRADED, reason="users noticed: status is 503")
    prove(suite, "hanging", CellState.SURVIVED, days_ago=31)
    prove(suite, "refused", CellState.FAILED, reason="<b>not within 10s</b>")
    return suite


def page(client: Client, suite: Suite) -> str:
    return client.get(reverse("admin:scenarios_suite_change", args=[suite.pk])).content.decode()


STATES = {
    ("shop-db", "slow"): ShownState.DEGRADED,
    ("shop-db", "hanging"): ShownState.OLDER,
    ("shop-db", "cpu"): ShownState.SKIPPED,
    ("cache", "refused"): ShownState.FAILED,
    ("cache", "paused"): ShownState.NEVER_TRIED,
}


def test_each_cell_has_its_state(proved: Suite) -> None:
    matrix = read_matrix(proved)
    assert {(cell.dependency, cell.fault): cell.state for cell in matrix.cells} == STATES
    assert [(row.dependency, row.kind, row.must) for row in matrix.rows] == [
        ("shop-db", "postgresql", "fail"),
        ("cache", "redis", "survive"),
    ]
    counted = count_cells(SuiteCell.objects.all(), timezone.now())
    assert counted == {("shop", state): count for state, count in matrix.counts.items()}


def test_a_proof_whose_run_was_deleted_is_old(suite: Suite) -> None:
    prove(suite, "slow", CellState.SURVIVED).delete()
    assert read_matrix(suite).counts[ShownState.OLDER] == 1
    assert count_cells(SuiteCell.objects.all(), timezone.now())["shop", ShownState.OLDER] == 1


def test_the_page_links_each_cell_to_its_evidence_and_escapes_reasons(
    proved: Suite, admin_client: Client
) -> None:
    content = page(admin_client, proved)
    for cell in read_matrix(proved).cells:
        if cell.run is not None:
            assert reverse("admin:scenarios_run_change", args=[cell.run.pk]) in content
    assert "older than 30d" in content
    assert "&lt;b&gt;not within 10s&lt;/b&gt;" in content
    assert "the suite names no host of &#x27;shop-db&#x27;" in content


@pytest.mark.parametrize("dependencies", [1, 200])
def test_the_page_reads_all_cells_in_as_many_queries_as_one(
    suite: Suite, admin_client: Client, dependencies: int
) -> None:
    names = [f"service-{number}" for number in range(dependencies)]
    Service.objects.bulk_create(Service(name=name, base_url="tcp://127.0.0.1:1") for name in names)
    lines = "".join(f"    - {{service: {name}, kind: tcp, must: survive}}\n" for name in names)
    large = store_suite(TEXT.partition("    - ")[0] + lines)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        content = page(admin_client, large)
    assert content.count("<tr>") >= dependencies
    assert len(queries) <= 12


def test_a_suite_is_written_and_run_and_stopped_in_the_browser(suite: Suite, admin_client: Client) -> None:
    new = TEXT.replace("name: shop,", "name: shop-2,")
    made = admin_client.post(reverse("admin:scenarios_suite_add"), {"document": new, "seen": ""})
    assert made.status_code == 302
    assert Suite.objects.get(name="shop-2").changed_by is not None
    wrong = admin_client.post(
        reverse("admin:scenarios_suite_add"), {"document": new.replace("kind: redis", "kind: rediss")}
    )
    assert "did you mean" in wrong.content.decode()
    started = admin_client.post(reverse("admin:scenarios_suite_run", args=[suite.pk]), follow=True)
    assert "dependency-slow" in started.content.decode()
    assert "has been running since" in page(admin_client, suite)
    again = admin_client.post(reverse("admin:scenarios_suite_run", args=[suite.pk]), follow=True)
    assert "cannot be started now" in again.content.decode()
    admin_client.post(reverse("admin:scenarios_suite_stop", args=[suite.pk]))
    assert suite.runs.get().outcome == "aborted"
    listed = admin_client.get(reverse("admin:scenarios_suite_changelist")).content.decode()
    assert "aborted" in listed


def test_the_permissions_of_scenarios_are_those_of_suites(suite: Suite, client: Client) -> None:
    client.force_login(someone("ann", "view_scenario"))
    assert "Run suite" not in page(client, suite)
    assert client.post(reverse("admin:scenarios_suite_run", args=[suite.pk])).status_code == 403
    client.force_login(someone("bob", "view_run"))
    assert client.get(reverse("admin:scenarios_suite_change", args=[suite.pk])).status_code == 403
    assert User.objects.count() == 2


def test_the_badge_says_in_which_state_the_suite_is_to_those_who_know_its_address(
    proved: Suite, client: Client
) -> None:
    place = reverse("suite_badge", args=["shop", compute_key("shop")])
    answer = client.get(place)
    assert answer["Content-Type"].startswith("image/svg+xml")
    assert answer["Cache-Control"] == "public, max-age=60"
    root = ET.fromstring(answer.content.decode())  # noqa: S314 - our own
    assert root.attrib["aria-label"] == "suite shop: failed: 1 of 4"
    assert client.get(place, headers={"If-None-Match": answer["ETag"]}).status_code == 304
    assert client.get(place.replace(compute_key("shop"), "0" * 20)).status_code == 404
    assert client.get(reverse("suite_badge", args=["other", compute_key("other")])).status_code == 404


def test_the_words_of_the_badge_name_the_gravest_state(suite: Suite) -> None:
    assert describe_state(read_matrix(suite)) == "never tried: 4 of 4"
    for fault in ("slow", "hanging", "refused"):
        prove(suite, fault, CellState.SURVIVED)
    prove(suite, "paused", CellState.DEGRADED)
    assert describe_state(read_matrix(suite)) == "3 survived, 1 degraded"
    prove(suite, "slow", CellState.SURVIVED, days_ago=40)
    assert describe_state(read_matrix(suite)) == "older than 30d: 1 of 4"
