"""HEAD where there is GET, and nothing that is kept on its way."""

import gzip

import pytest
from django.test import Client

from scenarios.models import Scenario
from tests.integration.scenarios.api.conftest import Program, read_problem
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db


def test_head_works_for_load_balancers(client: Client) -> None:
    answer = client.head("/api/v1/health")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer["Content-Length"]) > 0


def test_head_is_refused_like_get(ci: Program, client: Client) -> None:
    assert client.head("/api/v1/runs").status_code == 401
    assert ci.ask("HEAD", "runs?nothing=1").status_code == 422
    assert ci.ask("HEAD", "runs").status_code == 200


def test_head_of_a_stream_does_not_wait(ci: Program) -> None:
    telling = Telling()
    answer = ci.ask("HEAD", f"runs/{telling.run.pk}/events?wait=20", Accept="text/event-stream")
    assert (answer.status_code, answer.streaming, answer.content) == (200, False, b"")


def test_responses_are_not_cached(ci: Program, client: Client) -> None:
    refused = (ci.post("services"), client.get("/api/v1/"), client.get("/api/v2/runs"))
    for answer in (ci.get("runs"), ci.get("nothing"), client.get("/api/v1/runs"), *refused):
        assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "place", "sentence"),
    [
        ("runs?foo=1", "query", "unknown filter 'foo'"),
        ("runs?limit=0", "query.limit", "must be greater than or equal to 1"),
        ("runs?since=now", "query.since", "expected a time by RFC 3339"),
    ],
)
def test_error_paths_use_the_callers_names(ci: Program, path: str, place: str, sentence: str) -> None:
    found = read_problem(ci.get(path), 422)["errors"][0]
    assert (found["path"], found["message"].startswith(sentence)) == (place, True)


def test_global_stop_is_shown(ci: Program) -> None:
    assert ci.get("stop").json() == {"pulled": False, "pulled_at": None, "pulled_by": "", "reason": ""}
    ci.post("stop", {"reason": "an incident"})
    told = ci.get("stop").json()
    assert (told["pulled"], told["pulled_by"], told["reason"]) == (True, "admin", "an incident")
    ci.ask("DELETE", "stop")
    assert ci.get("stop").json()["pulled"] is False


def test_options_lists_the_methods(client: Client) -> None:
    answer = client.options("/api/v1/runs")
    assert (answer.status_code, answer.content) == (204, b"")
    assert set(answer["Allow"].split(", ")) == {"GET", "POST", "HEAD", "OPTIONS"}
    assert "Access-Control-Allow-Origin" not in answer


def test_refused_method_lists_the_methods(ci: Program) -> None:
    answer = ci.post("services")
    assert answer["Allow"] == "GET, HEAD, OPTIONS"
    sentence = "Method 'POST' is not allowed here; use one of GET, HEAD, OPTIONS."
    assert read_problem(answer, 405)["detail"] == sentence


def test_a_compressed_body_is_refused_as_such(ci: Program, stored: Scenario) -> None:
    body = gzip.compress(stored.document.encode())
    answer = ci.ask("PUT", f"scenarios/{stored.name}", body, **{"Content-Encoding": "gzip"})
    assert "Content-Encoding 'gzip' is not supported" in read_problem(answer, 415)["detail"]


@pytest.mark.parametrize("path", ["/api/", "/api/v2/runs", "/api/v1", "/api/v1/"])
def test_other_versions_of_the_api_are_problems(client: Client, path: str) -> None:
    problem = read_problem(client.get(path), 404)
    sentence = f"There is nothing at {path!r}; /api/v1/docs lists all addresses."
    assert (problem["code"], problem["detail"]) == ("no_such_address", sentence)


def test_slash_at_the_end_of_an_address_gets_a_hint(ci: Program) -> None:
    sentence = "There is nothing at '/api/v1/runs/'; leave out the slash at its end."
    assert read_problem(ci.get("runs/"), 404)["detail"] == sentence
    assert "lists all addresses" in read_problem(ci.get("nothing/"), 404)["detail"]


def test_a_run_is_started_without_a_body(ci: Program, stored: Scenario) -> None:
    assert ci.post(f"scenarios/{stored.name}/runs").status_code == 201


def test_the_beginning_of_an_id_gets_a_hint(ci: Program) -> None:
    (error,) = read_problem(ci.get("runs/18987e9b"), 404)["errors"]
    assert "GET /api/v1/runs?id=BEGINNING" in error["message"]


def test_a_repeated_filter_is_refused(ci: Program) -> None:
    (error,) = read_problem(ci.get("runs?status=queued&status=running"), 422)["errors"]
    assert "'status' is given more than once" in error["message"]
