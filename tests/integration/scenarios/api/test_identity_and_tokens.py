"""A caller is shown their name and their own tokens only; a weak token revokes no stronger one."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from scenarios.models.access import ApiToken
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return person("scenarios.view_run", "scenarios.stop_run")


def test_whoami_shows_the_token_and_what_it_permits(ada: User) -> None:
    told = program(ada, "read", "edit").get("whoami").json()
    assert told["user"] == "ada"
    assert told["token"]["scopes"] == ["read", "edit"]
    assert told["token"]["state"] == "valid"
    assert told["permissions"] == ["scenarios.view_run"]
    assert "digest" not in told["token"]


def test_whoami_in_a_session_has_no_token(ada: User) -> None:
    client = Client()
    client.force_login(ada)
    told = client.get("/api/v1/whoami").json()
    assert (told["user"], told["token"]) == ("ada", None)
    assert told["permissions"] == ["scenarios.stop_run", "scenarios.view_run"]


def test_unknown_callers_learn_nothing() -> None:
    stranger = Program("tc_unknown", Client())
    for method, path in (("GET", "whoami"), ("GET", "tokens"), ("DELETE", "tokens/1")):
        read_problem(stranger.ask(method, path), 401)


def test_only_own_tokens_are_listed_and_revoked(ada: User) -> None:
    mine, other = program(ada, "read"), program(person(name="bob"), "read")
    (listed,) = mine.get("tokens").json()["items"]
    assert listed["beginning"] == mine.secret[:11]
    theirs = ApiToken.objects.get(owner__username="bob").pk
    read_problem(mine.ask("DELETE", f"tokens/{theirs}"), 404)
    assert other.get("whoami").status_code == 200
    assert mine.ask("DELETE", f"tokens/{listed['id']}").status_code == 204
    read_problem(mine.get("whoami"), 401)


def test_a_token_revokes_none_that_permits_more(ada: User) -> None:
    reader, stopper = program(ada, "read"), program(ada, "read", "stop")
    by_scopes = {tuple(item["scopes"]): item["id"] for item in reader.get("tokens").json()["items"]}
    refused = read_problem(reader.ask("DELETE", f"tokens/{by_scopes['read', 'stop']}"), 403)
    assert "'stop'" in refused["detail"]
    assert stopper.ask("DELETE", f"tokens/{by_scopes['read',]}").status_code == 204
    read_problem(reader.get("whoami"), 401)
