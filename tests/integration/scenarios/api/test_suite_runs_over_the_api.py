"""Suites over the API: their matrices, and their runs."""

from xml.etree import ElementTree as ET

import pytest
from django.test import Client

from scenarios.domain.suite_states import CellState
from scenarios.models import Run, Suite
from tests.integration.scenarios.suites.matrix_rows import prove
from tests.integration.scenarios.suites.suite_rows import (
    REFUSED,
    SLOW,
    register_services,
    save_catalogue,
    store_suite,
)

pytestmark = pytest.mark.django_db
PLACE = "/api/v1/suites/shop"


@pytest.fixture
def suite() -> Suite:
    register_services()
    save_catalogue(SLOW, REFUSED)
    return store_suite()


def test_the_matrix_has_the_evidence_of_each_cell_and_the_address_of_the_badge(
    suite: Suite, admin_client: Client, client: Client
) -> None:
    run = prove(suite, "slow", CellState.DEGRADED, reason="users noticed")
    matrix = admin_client.get(f"{PLACE}/matrix").json()
    cell = next(cell for cell in matrix["cells"] if cell["fault"] == "slow")
    assert (cell["state"], cell["run"], cell["must"]) == ("degraded", str(run.pk), "fail")
    assert matrix["counts"]["degraded"] == 1
    (listed,) = admin_client.get("/api/v1/suites").json()["items"]
    assert (listed["state"], listed["counts"]) == (matrix["state"], matrix["counts"])
    assert client.get(matrix["badge"]).status_code == 200


def test_a_suite_is_started_followed_stopped_and_reported(suite: Suite, admin_client: Client) -> None:
    made = admin_client.post(f"{PLACE}/runs")
    assert made.status_code == 201
    place = made["Location"]
    record = admin_client.get(place).json()
    assert record["status"] == "running"
    assert [cell["state"] for cell in record["cells"]].count("running") == 1
    assert admin_client.post(f"{PLACE}/runs").json()["code"] == "suite_running"
    assert admin_client.post(f"{PLACE}/runs").status_code == 409
    assert admin_client.delete(PLACE).status_code == 409
    assert admin_client.post(f"{place}/stop").json() == {"run": record["id"], "stopping": True}
    ended = admin_client.get(place).json()
    assert ended["status"] == "aborted"
    assert Run.objects.get().outcome == "aborted"
    (listed,) = admin_client.get(f"{PLACE}/runs").json()["items"]
    assert listed["id"] == record["id"]
    report = admin_client.get(f"{place}/report?format=junit")
    assert ET.fromstring(report.content)[0].attrib["name"] == "shop"  # noqa: S314 - our own
    assert admin_client.get(f"{place}/report?format=html").status_code == 422


def test_the_run_of_a_suite_that_does_not_exist_is_not_found(admin_client: Client, db: None) -> None:
    place = "/api/v1/suite-runs/00000000-0000-0000-0000-000000000000"
    assert admin_client.get(place).status_code == 404
    assert admin_client.post("/api/v1/suites/shop/runs").status_code == 404
