"""Suites over the API: stored, read and validated as scenarios are."""

from typing import Any

import pytest
from django.test import Client

from tests.integration.scenarios.suites.suite_rows import TEXT, register_services

pytestmark = pytest.mark.django_db
PLACE = "/api/v1/suites/shop"
YAML = "application/yaml"


@pytest.fixture(autouse=True)
def services() -> None:
    register_services()


def test_a_suite_is_stored_read_and_deleted(admin_client: Client) -> None:
    made = admin_client.put(PLACE, TEXT, content_type=YAML)
    assert made.status_code == 201
    assert made["Location"] == PLACE
    read = admin_client.get(PLACE)
    assert read.json()["document"] == TEXT
    assert read.json()["service"] == "shop"
    assert read["ETag"] == made["ETag"]
    assert admin_client.get(PLACE, headers={"If-None-Match": read["ETag"]}).status_code == 304
    assert [item["name"] for item in admin_client.get("/api/v1/suites").json()["items"]] == ["shop"]
    assert admin_client.get("/api/v1/suites?service=cache").json()["items"] == []
    assert admin_client.delete(PLACE).status_code == 204
    assert admin_client.get(PLACE).status_code == 404


def test_nobody_overwrites_what_another_has_changed(admin_client: Client) -> None:
    seen = admin_client.put(PLACE, TEXT, content_type=YAML)["ETag"]
    changed = TEXT.replace("10s", "20s")
    assert admin_client.put(PLACE, changed, content_type=YAML, headers={"If-Match": seen}).status_code == 200
    late = admin_client.put(PLACE, TEXT, content_type=YAML, headers={"If-Match": seen})
    assert late.status_code == 412
    assert admin_client.get(PLACE).json()["document"] == changed


def test_a_mistake_has_its_line_and_nothing_is_stored(admin_client: Client) -> None:
    wrong = TEXT.replace("service: cache", "service: cahce")
    refused = admin_client.put(PLACE, wrong, content_type=YAML)
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["line"], error["hint"]) == (9, "did you mean 'cache'?")
    assert admin_client.get(PLACE).status_code == 404


def test_validation_stores_nothing(admin_client: Client) -> None:
    answer = admin_client.post(f"{PLACE}/validate", TEXT, content_type=YAML)
    assert answer.json() == {"name": "shop", "title": "What the shop survives"}
    other = admin_client.post("/api/v1/suites/other/validate", TEXT, content_type=YAML)
    assert other.status_code == 422
    assert admin_client.get("/api/v1/suites").json()["items"] == []


def test_one_import_stores_suites_and_scenarios(admin_client: Client) -> None:
    body: dict[str, Any] = {"documents": [TEXT]}
    done = admin_client.post("/api/v1/import", body, content_type="application/json")
    assert done.json()["changes"] == [{"name": "shop", "change": "new", "subject": "suite", "before": None}]
