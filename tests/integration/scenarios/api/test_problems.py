"""Every refusal is a problem document that says what is wrong, and where."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from scenarios.api.problem_codes import MEANINGS, ProblemCode
from scenarios.library import scenarios as stored_scenarios
from scenarios.models import Run, Scenario
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem
from tests.integration.scenarios.story_rows import DOCUMENT

pytestmark = pytest.mark.django_db
GUIDE = Path(__file__).parents[4] / "docs" / "api.md"


@pytest.mark.parametrize("path", ["nothing", "runs/", "runs/x/y", "scenarios/", ""])
def test_unknown_addresses_are_problems(client: Client, path: str) -> None:
    assert read_problem(client.get(f"/api/v1/{path}"), 404)["title"] == "Not Found"


def test_unknown_methods_are_problems_that_name_the_allowed_ones(ci: Program) -> None:
    answer = ci.ask("PATCH", "runs")
    assert "Method 'PATCH' is not allowed here" in read_problem(answer, 405)["detail"]
    assert set(answer["Allow"].split(", ")) == {"GET", "POST", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    ("query", "path", "words"),
    [
        ("limit=0", "query.limit", "greater than or equal to 1"),
        ("limit=201", "query.limit", "less than or equal to 200"),
        ("staus=failed", "query", "unknown filter 'staus'; choose one of limit"),
        ("status=lost", "query.status", "'queued', 'running'"),
        ("since=yesterday", "query.since", "RFC 3339"),
        ("since=2026-01-01T00:00:00", "query.since", "the offset from UTC is missing"),
        ("by=a%00b", "query.by", "invalid value"),
        ("cursor=x", "query.cursor", "invalid cursor 'x'"),
        ("cursor=%C3%A9", "query.cursor", "invalid cursor"),
    ],
)
def test_invalid_queries_name_their_place(ci: Program, query: str, path: str, words: str) -> None:
    found = read_problem(ci.get(f"runs?{query}"), 422)["errors"][0]
    assert path in found["path"]
    assert words in found["message"]


def test_invalid_json_is_refused_with_line_and_column(ci: Program, stored: Scenario) -> None:
    found = read_problem(ci.post(f"scenarios/{stored.name}/runs", '{\n "variables": {,}}'), 400)["errors"][0]
    assert (found["line"], found["column"]) == (2, 16)


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"[" * 100_000])
def test_unreadable_bodies_are_refused(ci: Program, stored: Scenario, body: bytes) -> None:
    read_problem(ci.post(f"scenarios/{stored.name}/runs", body), 400)


@pytest.mark.parametrize(
    "body", ["true", "[]", '{"variable": {}}', "null", '{"variables": 3}', '{"wait": 0}']
)
def test_bodies_of_another_shape_are_refused(ci: Program, stored: Scenario, body: str) -> None:
    assert read_problem(ci.post(f"scenarios/{stored.name}/runs", body), 422)["errors"]
    assert not Run.objects.exists()


def test_large_bodies_are_refused_before_they_are_read(ci: Program) -> None:
    read_problem(ci.ask("PUT", "scenarios/exchange-latency", b"#" * 3_000_000), 413)


def test_text_that_databases_refuse_is_refused_or_replaced(ci: Program, stored: Scenario) -> None:
    read_problem(ci.post(f"scenarios/{stored.name}/runs", '{"variables": {"x\\ud800": "\\u0000"}}'), 422)
    read_problem(ci.get("scenarios/a%00b"), 404)
    read_problem(ci.post("stop", '{"reason": "\\ud800"}'), 422)
    assert ci.post("stop", '{"reason": "an incident \\u0000"}').status_code == 200


def test_server_errors_reveal_no_details(ci: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_named: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(stored_scenarios, "save_scenario", broken)
    ci.client.raise_request_exception = False
    answer = ci.ask("PUT", "scenarios/exchange-latency", DOCUMENT)
    assert "log" in read_problem(answer, 500)["detail"]
    assert b"hunter2" not in answer.content


@pytest.mark.parametrize("debug", [True, False])
def test_unknown_hosts_are_problems(client: Client, settings: Settings, debug: bool) -> None:
    settings.DEBUG = debug
    read_problem(client.get("/api/v1/runs", headers={"Host": "evil.example"}), 400)


def test_admin_pages_are_not_problems(admin_client: Client) -> None:
    assert admin_client.get("/admin/none/")["Content-Type"].startswith("text/html")


def test_readiness_is_not_a_problem_document(client: Client) -> None:
    answer = client.get("/api/v1/ready")
    assert answer.status_code == 503
    assert answer.json()["parts"]


@pytest.mark.parametrize(
    ("request_line", "body", "place"),
    [
        ("POST runs", {}, "body.document"),
        ("POST runs", [], "body"),
        ("POST scenarios/exchange-latency/runs", {"variabels": {}}, "body.variabels"),
        (
            "POST scenarios/exchange-latency/runs",
            {"variables": {"delay_ms": "x"}},
            "body.variables.delay_ms",
        ),
        ("PUT schedules/nightly", {"scenario": "x", "cron": "x", "window_from": "2"}, "body.window_from"),
        ("PUT services/Not_A_Label", {"base_url": "http://127.0.0.1:1"}, "path.name"),
        ("GET runs?id=zz", None, "query.id"),
        ("GET runs?cursor=zz", None, "query.cursor"),
    ],
)
def test_every_invalid_request_names_the_places_in_one_shape(
    ci: Program, stored: Scenario, request_line: str, body: object, place: str
) -> None:
    method, path = request_line.split()
    errors = read_problem(ci.ask(method, path, body), 422)["errors"]
    assert place in [error["path"] for error in errors]
    for error in errors:
        assert error["message"]
        assert {"path", "message", "hint"} <= error.keys() <= {"path", "message", "hint", "line", "column"}


@pytest.mark.parametrize(
    ("path", "place"), [("faults/x", "number"), ("runs/x", "run_id"), ("suite-runs/x", "run_id")]
)
def test_what_cannot_be_an_id_is_found_nowhere(ci: Program, path: str, place: str) -> None:
    problem = read_problem(ci.ask("GET", path), 404)
    assert (problem["code"], problem["detail"]) == ("not_found", "There is nothing with this id.")
    assert problem["errors"][0]["path"] == f"path.{place}"


@pytest.mark.parametrize(
    ("request_line", "body", "place"),
    [
        ("PUT scenarios/other", DOCUMENT, "metadata.name"),
        ("PUT scenarios/exchange-latency", DOCUMENT.replace("method", "metod", 1), None),
        ("POST runs", {"document": DOCUMENT.replace("method", "metod", 1)}, None),
        ("POST import", {"documents": [DOCUMENT, DOCUMENT]}, "body.documents.1.metadata.name"),
    ],
)
def test_errors_in_documents_have_line_and_column(
    ci: Program, request_line: str, body: object, place: str | None
) -> None:
    method, path = request_line.split()
    (error, *_) = read_problem(ci.ask(method, path, body), 422)["errors"]
    assert error["line"] > 1
    assert error["column"] > 1
    assert place in {None, error["path"]}


@pytest.mark.parametrize("header", ["Idempotency-Key", "Last-Event-ID"])
def test_an_invalid_header_is_named(ci: Program, stored: Scenario, header: str) -> None:
    run = ci.post(f"scenarios/{stored.name}/runs", {}).json()["id"]
    path = {"Idempotency-Key": f"runs/{run}/stop", "Last-Event-ID": f"runs/{run}/events"}[header]
    answer = ci.ask("POST" if header == "Idempotency-Key" else "GET", path, **{header: "not valid"})
    assert read_problem(answer, 422)["errors"][0]["path"] == f"header.{header}"


def test_the_guide_lists_every_code() -> None:
    assert set(MEANINGS) == set(ProblemCode)
    guide = GUIDE.read_text()
    for code, (status, meaning) in MEANINGS.items():
        assert f"| `{code}` | {status or 'any'} | {meaning} |" in guide


def test_causes_with_one_status_have_different_codes(ci: Program, stored: Scenario) -> None:
    found = {
        read_problem(ci.get("scenarios/no-such-scenario"), 404)["code"],
        read_problem(ci.get("no/such/address"), 404)["code"],
        read_problem(ci.post(f"scenarios/{stored.name}/runs", {"variables": {"x": 1}}), 422)["code"],
        read_problem(ci.post("runs", {"scenario": 7}), 422)["code"],
        read_problem(ci.ask("PUT", "scenarios/broken", "kind: Scenario"), 422)["code"],
    }
    assert found == {
        "not_found",
        "no_such_address",
        "invalid_variables",
        "invalid_request",
        "invalid_document",
    }


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_wrong_address_is_not_found_for_any_method(ci: Program, method: str) -> None:
    strict = Program(ci.secret, Client(enforce_csrf_checks=True))
    problem = read_problem(strict.ask(method, "no/such/address"), 404)
    assert "There is nothing at" in problem["detail"]


def test_a_missing_scope_is_named(admin_user: User) -> None:
    problem = read_problem(program(admin_user, "read").post("scenarios/x/runs"), 403)
    assert problem["code"] == "permission_missing"
    assert problem["detail"] == (
        "This token does not have the permission scenarios.run_scenario; create a token with the scope 'run'."
    )


def test_a_permission_that_only_the_owner_lacks_is_said() -> None:
    problem = read_problem(program(person("scenarios.view_run")).post("scenarios/x/runs"), 403)
    assert "its owner" in problem["detail"]
    assert "must be given the permission" in problem["detail"]
