"""Lists: pages that neither miss nor repeat a row, and filters."""

import re
import uuid
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from django.utils import timezone

from scenarios.domain.outcomes import Outcome, Rollback, RunState
from scenarios.models import Run, Scenario, Service
from scenarios.runs import commands as run_commands
from tests.integration.scenarios.api.conftest import Program, read_problem
from tests.integration.scenarios.story_rows import DOCUMENT

pytestmark = pytest.mark.django_db


def rows_of_all_pages(ci: Program, path: str, limit: int) -> list[Any]:
    rows: list[Any] = []
    cursor = ""
    while True:
        separator = "&" if "?" in path else "?"
        page = ci.get(f"{path}{separator}limit={limit}" + (f"&cursor={cursor}" if cursor else "")).json()
        assert len(page["items"]) <= limit
        rows += page["items"]
        if page["next_cursor"] is None:
            return rows
        cursor = page["next_cursor"]


def finished_runs(count: int, rollback: Rollback = Rollback.CLEAN) -> None:
    now = timezone.now()
    Run.objects.bulk_create(
        Run(
            id=uuid.uuid4(),
            scenario_name="x",
            document="",
            state=RunState.FINISHED,
            outcome=Outcome.PASSED,
            rollback=rollback,
            started_from="api",
            queued_at=now,
            finished_at=now,
        )
        for _ in range(count)
    )


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_pages_are_complete_for_runs_of_the_same_time(ci: Program, limit: int) -> None:
    finished_runs(7)
    ids = [row["id"] for row in rows_of_all_pages(ci, "runs", limit)]
    assert ids == [str(run.pk) for run in Run.objects.order_by("-queued_at", "-id")]


def test_link_header_leads_through_the_pages_with_the_same_filters(ci: Program) -> None:
    finished_runs(5)
    finished_runs(1, Rollback.DIRTY)
    address, ids = "http://testserver/api/v1/runs?limit=2&rollback=clean", []
    while address:
        page = ci.get(address.removeprefix("http://testserver/api/v1/"))
        ids += [row["id"] for row in page.json()["items"]]
        address = parse_links(page.headers.get("Link", "")).get("next", "")
    clean = Run.objects.filter(rollback=Rollback.CLEAN).order_by("-queued_at", "-id")
    assert ids == [str(run.pk) for run in clean]


@pytest.mark.parametrize(
    ("public", "scheme"), [("https://testserver/below", "https"), ("https://other.example", "http")]
)
def test_link_header_has_the_scheme_that_this_host_is_public_with(
    public: str, scheme: str, ci: Program, settings: Any
) -> None:
    settings.PUBLIC_URL = public
    finished_runs(2)
    link = parse_links(ci.get("runs?limit=1")["Link"])["next"]
    assert link.startswith(f"{scheme}://testserver/api/v1/runs?limit=1&cursor=")


def parse_links(header: str) -> dict[str, str]:
    return {rel: address for address, rel in re.findall(r'<([^>]*)>; rel="(\w+)"', header)}


@pytest.mark.parametrize("moment", ["2026-11-23T21:00:00%2B20:33", "3443-01-11T10:38:28.66-23:59"])
def test_times_with_any_offset_are_accepted(ci: Program, moment: str) -> None:
    finished_runs(1)
    assert ci.get(f"runs?since={moment}").status_code == 200


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00%2B01:00", "9999-12-31T23:59:59-01:00"])
def test_times_outside_utc_are_refused(ci: Program, moment: str) -> None:
    read_problem(ci.get(f"runs?until={moment}"), 422)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("runs", f"2026-11-23T21:00:00|{uuid.UUID(int=7)}"),
        ("runs", f"9999-12-31T23:59:59-01:00|{uuid.UUID(int=7)}"),
        ("runs", "2026-11-23T21:00:00+00:00"),
        ("scenarios", "a\0b"),
        ("services", "a\0b"),
        ("faults", "seven"),
    ],
)
def test_invented_cursors_are_refused(ci: Program, path: str, words: str) -> None:
    read_problem(ci.get(f"{path}?cursor={urlsafe_b64encode(words.encode()).decode()}"), 422)


@pytest.mark.parametrize(("path", "words"), [("faults", "9" * 40), ("faults", "-" + "9" * 40)])
def test_cursor_after_the_last_row_gives_an_empty_page(ci: Program, path: str, words: str) -> None:
    assert ci.get(f"{path}?cursor={urlsafe_b64encode(words.encode()).decode()}").status_code == 200


def test_new_runs_do_not_shift_the_next_page(ci: Program) -> None:
    finished_runs(4)
    first = ci.get("runs?limit=2").json()
    finished_runs(3)
    second = ci.get(f"runs?limit=2&cursor={first['next_cursor']}").json()
    seen = {row["id"] for row in first["items"]}
    assert not seen & {row["id"] for row in second["items"]}
    assert len(second["items"]) == 2


def test_filters_apply_to_every_page(ci: Program) -> None:
    finished_runs(3, rollback=Rollback.DIRTY)
    finished_runs(3)
    rows = rows_of_all_pages(ci, "runs?rollback=dirty", 2)
    assert [row["rollback"] for row in rows] == ["dirty"] * 3


@pytest.mark.parametrize(
    ("query", "found"),
    [("name=latency", 1), ("tag=laten", 0), ("text=EXCHANGE", 1), ("text=nothing", 0), ("", 1)],
)
def test_scenarios_are_filtered_by_name_tag_and_text(
    ci: Program, stored: Scenario, query: str, found: int
) -> None:
    assert len(ci.get(f"scenarios?{query}").json()["items"]) == found


def test_tag_filter_matches_whole_tags(ci: Program, stored: Scenario) -> None:
    Scenario.objects.update(tags=["nightly", "büro"])
    assert len(ci.get("scenarios?tag=b%C3%BCro").json()["items"]) == 1
    assert ci.get("scenarios?tag=night").json()["items"] == []


def test_scenario_is_stored_read_validated_and_deleted(ci: Program) -> None:
    told = ci.ask("PUT", "scenarios/exchange-latency", DOCUMENT).json()
    assert told == ci.get("scenarios/exchange-latency").json()
    assert told["document"] == DOCUMENT
    assert "document" not in ci.get("scenarios").json()["items"][0]
    assert ci.post("scenarios/exchange-latency/validate", DOCUMENT).json()["name"] == "exchange-latency"
    assert ci.ask("DELETE", "scenarios/exchange-latency").status_code == 204
    read_problem(ci.get("scenarios/exchange-latency"), 404)


def test_scenario_with_an_unfinished_run_is_not_deleted(ci: Program, stored: Scenario) -> None:
    run_commands.start_run(DOCUMENT, {}, origin="cli", scenario=stored)
    assert "is queued" in read_problem(ci.ask("DELETE", f"scenarios/{stored.name}"), 409)["detail"]


def test_document_name_must_match_the_address(ci: Program) -> None:
    assert "'other'" in read_problem(ci.ask("PUT", "scenarios/other", DOCUMENT), 422)["detail"]


def test_services_list_holding_runs_and_touching_scenarios(ci: Program, stored: Scenario) -> None:
    Service.objects.create(name="exchange", base_url="http://127.0.0.1:9")
    told = ci.get("services?name=exch").json()["items"][0]
    assert (told["held_by"], told["touched_by"]) == (None, [stored.name])


def test_indexes_of_run_lists_cover_all_filters() -> None:
    """Or filters that match nothing together read every run that one of them lets through."""
    filtered_by = {"scenario", "outcome", "rollback", "state", "started_by"}
    newest_first = [index.fields for index in Run._meta.indexes if index.fields[1:2] == ["-queued_at"]]
    assert {fields[0] for fields in newest_first} == {*filtered_by, "environment"} - {"state"}
    assert all(filtered_by <= set(fields) for fields in newest_first)
