"""What is for one origin alone does not follow a redirect to another."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from scenarios.domain.outcomes import Outcome
from scenarios.library import services as registered_services
from scenarios.models import Event, Fault, Run, Service
from tests.integration.scenarios.reaching import action, carried_out, document, probe, queued
from tests.servers.recording import Recorder, Request, recording

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "correct-horse-battery"
HEADERS = {
    "X-Api-Key": "${secret:TOKEN}",
    "Authorization": "Bearer ${secret:TOKEN}",
    "Cookie": "session=${secret:TOKEN}",
    "Proxy-Authorization": "${secret:TOKEN}",
    "X-Plain": "of this origin",
    "Accept": "application/json",
    "User-Agent": "a-test",
}
KEPT = {"Accept", "User-Agent"}


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENARIO_SECRET_TOKEN", TOKEN)


@pytest.fixture
def first() -> Iterator[Recorder]:
    with recording() as server:
        registered_services.register_service("first", server.url)
        yield server


@pytest.fixture
def other() -> Iterator[Recorder]:
    with recording() as server:
        yield server


def ask(first: Recorder, goal: str, *, status: int = 307, **words: Any) -> Run:
    first.status, first.redirect_to = status, goal
    step = {"http": {"service": "first", "method": "POST", "follow_redirects": True, **words}}
    ended = carried_out(queued(document(validations=[probe(step)])))
    assert ended.outcome == Outcome.PASSED, ended.reason
    return ended


def told(request: Request) -> str:
    return f"{dict(request.headers)} {request.body!r} {request.path}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_headers_are_dropped_for_another_origin(first: Recorder, other: Recorder, status: int) -> None:
    ask(first, f"{other.url}/goal", status=status, headers=HEADERS)
    assert TOKEN in told(first.requests[0])
    [request] = other.requests
    assert TOKEN not in told(request)
    assert set(HEADERS) & set(request.headers) == KEPT


AUTHS = [{"bearer": "${secret:TOKEN}"}, {"basic": {"user": "tester", "password": "${secret:TOKEN}"}}]


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize("status", [302, 307])
def test_auth_is_sent_to_the_first_origin_alone(
    first: Recorder, other: Recorder, auth: dict[str, Any], status: int
) -> None:
    other.status, other.redirect_to = 307, f"{first.url}/back"
    first.before_answer = lambda request: setattr(first, "status", 200 if request.path == "/back" else status)
    ask(first, f"{other.url}/goal", status=status, auth=auth)
    sent = [request.headers.get("Authorization", "") for request in (*first.requests, *other.requests)]
    assert sent[0].partition(" ")[0] == ("Bearer" if "bearer" in auth else "Basic")
    assert sent[1:] == ["", ""]


@pytest.mark.parametrize("auth", AUTHS)
def test_auth_and_kept_cookies_are_stored_nowhere(first: Recorder, auth: dict[str, Any]) -> None:
    """Also where the target returns what it was sent."""
    first.echoes = True
    first.headers = {"Set-Cookie": "sid=session-of-a-tester; Path=/"}
    words = {"service": "first", "auth": auth, "cookies": "keep"}
    step = {"http": {**words, "method": "POST"}}
    ended = carried_out(
        queued(
            document(
                actions=[action(step, {"http": {**words, "method": "DELETE"}})],
                validations=[probe({"http": words})],
            )
        )
    )
    assert ended.outcome == Outcome.PASSED, ended.reason
    assert [request.headers.get("Cookie", "") for request in first.requests] == [
        "",
        "sid=session-of-a-tester",
        "sid=session-of-a-tester",
    ]
    encoded = base64.b64encode(f"tester:{TOKEN}".encode()).decode()
    stored = str([list(model.objects.values()) for model in (Run, Event, Fault)])
    for text in (TOKEN, encoded, encoded[12:40], "session-of-a-tester"):
        assert text not in stored
    assert "${secret:TOKEN}" in stored


@pytest.mark.parametrize("words", [{"json": {"key": ["${secret:TOKEN}"]}}, {"body": "key=${secret:TOKEN}"}])
@pytest.mark.parametrize("status", [307, 308])
def test_a_body_with_a_secret_is_dropped_for_another_origin(
    first: Recorder, other: Recorder, words: dict[str, Any], status: int
) -> None:
    ask(first, f"{other.url}/goal", status=status, **words)
    assert TOKEN in told(first.requests[0])
    [request] = other.requests
    assert (request.method, request.body, "json" in told(request)) == ("POST", b"", False)


def test_a_body_without_a_secret_is_sent_on_with_its_type(first: Recorder, other: Recorder) -> None:
    ask(first, f"{other.url}/goal", json={"side": "buy"}, headers={"X-Api-Key": "${secret:TOKEN}"})
    [request] = other.requests
    assert (request.body, request.headers["Content-Type"]) == (b'{"side": "buy"}', "application/json")
    assert TOKEN not in told(request)


def test_redirects_within_one_origin_keep_everything_and_a_303_drops_the_body(first: Recorder) -> None:
    first.before_answer = lambda request: setattr(first, "status", 200 if request.path == "/goal" else 307)
    ask(first, "/goal", json={"key": "${secret:TOKEN}"}, headers=HEADERS)
    assert [TOKEN in told(request) for request in first.requests] == [True, True]
    assert first.requests[1].body == first.requests[0].body
    first.requests.clear()
    first.before_answer = lambda request: setattr(first, "status", 200 if request.path == "/goal" else 303)
    ask(first, "/goal", json={"key": "${secret:TOKEN}"}, headers=HEADERS)
    assert first.asked == ["POST /", "GET /goal"]
    assert first.requests[1].headers["X-Api-Key"] == TOKEN
    assert first.requests[1].body == b""


def test_dropped_headers_stay_dropped_on_the_way_back(first: Recorder, other: Recorder) -> None:
    other.status, other.redirect_to = 307, f"{first.url}/back"
    first.before_answer = lambda request: setattr(first, "status", 200 if request.path == "/back" else 307)
    ask(first, f"{other.url}/goal", body="${secret:TOKEN}", headers=HEADERS)
    assert first.asked == ["POST /", "POST /back"]
    assert TOKEN not in told(first.requests[1])


def test_a_password_in_the_address_is_sent_only_to_its_origin(first: Recorder, other: Recorder) -> None:
    # As earlier versions stored it.
    Service.objects.filter(name="first").update(base_url=f"http://ann:pw@127.0.0.1:{first.port}")
    first.before_answer = lambda request: setattr(
        first, "redirect_to", "/same" if request.path == "/" else f"{other.url}/goal"
    )
    ask(first, "")
    assert [request.headers.get("Authorization", "")[:5] for request in first.requests] == ["Basic", "Basic"]
    assert "Authorization" not in other.requests[0].headers


def test_another_port_and_another_spelling_are_other_origins(first: Recorder) -> None:
    first.before_answer = lambda request: setattr(first, "status", 200 if request.path == "/goal" else 307)
    ask(first, f"http://localhost:{first.port}/goal", headers=HEADERS)
    assert TOKEN not in told(first.requests[1])


@pytest.mark.parametrize("count", [10, 11])
def test_redirects_are_limited(first: Recorder, count: int) -> None:
    def count_down(request: Request) -> None:
        left = int(request.path.lstrip("/") or count) - 1
        first.status, first.redirect_to = (307, f"/{left}") if left >= 0 else (200, "")

    first.before_answer = count_down
    step = {"http": {"service": "first", "method": "POST", "follow_redirects": True}}
    ended = carried_out(queued(document(actions=[action(step)])))
    assert ended.outcome == (Outcome.PASSED if count == 10 else Outcome.ERRORED)
    assert ("redirects more than 10 times" in ended.reason) == (count == 11)
    assert len(first.requests) == 11
