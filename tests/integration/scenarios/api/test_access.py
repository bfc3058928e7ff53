"""Who may ask: tokens and sessions, their scopes and permissions, and how each ends."""

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.access import tokens
from scenarios.api.failed_tokens import FailedTokens
from scenarios.models import Run, Scenario
from scenarios.models.access import ApiToken
from scenarios.runs import commands as run_commands
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem
from tests.integration.scenarios.story_rows import DOCUMENT, Telling
from tests.servers.api_fuzzing import ALL_SCOPES

pytestmark = pytest.mark.django_db


def test_anonymous_requests_get_401_with_a_challenge(client: Client) -> None:
    for ask in (client.get, client.post):
        answer = ask("/api/v1/runs")
        read_problem(answer, 401)
        assert answer["WWW-Authenticate"] == 'Bearer realm="test-coordinator"'


def test_token_works_until_it_is_revoked(ci: Program) -> None:
    assert ci.get("runs").status_code == 200
    token = ApiToken.objects.get()
    assert tokens.revoke_token(token)
    assert not tokens.revoke_token(token)
    answer = ci.get("runs")
    read_problem(answer, 401)
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


@pytest.mark.parametrize("end", ["expiry", "owner"])
def test_expired_tokens_and_tokens_of_inactive_owners_fail(ci: Program, admin_user: User, end: str) -> None:
    if end == "expiry":
        ApiToken.objects.update(expires_at=timezone.now())
    else:
        User.objects.update(is_active=False)
    read_problem(ci.get("runs"), 401)


def test_token_secret_is_not_stored(ci: Program) -> None:
    row = ApiToken.objects.values().get()
    assert ci.secret not in str(row)
    assert row["beginning"] == ci.secret[:11]
    assert len(ci.secret) >= 40


def test_token_permits_only_its_scopes(admin_user: User, stored: Scenario) -> None:
    reader = program(admin_user, "read")
    assert reader.get(f"scenarios/{stored.name}").status_code == 200
    found = read_problem(reader.post(f"scenarios/{stored.name}/runs", {}), 403)
    assert "scenarios.run_scenario" in found["detail"]


def test_token_permits_only_what_its_owner_may_do_now(stored: Scenario) -> None:
    owner = person("scenarios.view_scenario")
    everything = program(owner)
    assert everything.get("scenarios").status_code == 200
    read_problem(everything.post(f"scenarios/{stored.name}/runs", {}), 403)
    owner.user_permissions.clear()
    read_problem(everything.get("scenarios"), 403)


def test_every_scope_maps_to_existing_permissions() -> None:
    user = person(*tokens.collect_permissions(tokens.SCOPES))
    for permission in tokens.collect_permissions(tokens.SCOPES):
        assert user.has_perm(permission), permission
    assert set(ALL_SCOPES) == set(tokens.SCOPES)


def test_sessions_need_a_csrf_token_only_for_writes(stored: Scenario, admin_user: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    assert browser.get("/api/v1/runs").status_code == 200
    address = f"/api/v1/scenarios/{stored.name}/runs"
    read_problem(browser.post(address, {}, content_type="application/json"), 403)
    browser.get("/admin/scenarios/scenario/add/")
    token = browser.cookies["csrftoken"].value
    answer = browser.post(address, {}, content_type="application/json", headers={"X-CSRFToken": token})
    assert answer.status_code == 201


def test_last_use_of_a_token_is_stored_at_most_once_a_minute(ci: Program) -> None:
    ci.get("runs")
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    ci.get("runs")
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    ci.get("runs")
    assert ApiToken.objects.get().last_used_at >= first  # type: ignore[operator]


def test_only_unknown_tokens_are_rate_limited(ci: Program, settings: Settings, client: Client) -> None:
    settings.API_FAILED_TOKENS_PER_MINUTE = 2
    wrong = Program("tc_wrong", client)
    place = {"REMOTE_ADDR": "192.0.2.7"}
    wrong.client.defaults.update(place)
    ci.client.defaults.update(place)
    assert [wrong.get("runs").status_code for _ in range(3)] == [401, 401, 429]
    assert 0 < int(wrong.get("runs")["Retry-After"]) <= 60
    assert ci.get("runs").status_code == 200


def test_rate_limit_ends_after_a_minute(settings: Settings) -> None:
    settings.API_FAILED_TOKENS_PER_MINUTE = 1
    now = [0.0]
    failed = FailedTokens(lambda: now[0])
    assert [failed.note("a"), failed.note("a"), failed.note("b")] == [0, 60, 0]
    now[0] = 60.0
    assert failed.note("a") == 0


def test_command_creates_lists_and_revokes_tokens(admin_user: User, client: Client) -> None:
    made, listed = StringIO(), StringIO()
    call_command(
        "api_token", "create", "admin", "--name", "CI", "--scope", "read", stdout=made, stderr=StringIO()
    )
    secret = made.getvalue().strip()
    assert Program(secret, client).get("runs").status_code == 200
    call_command("api_token", "list", stdout=listed)
    assert secret[:11] in listed.getvalue()
    assert secret not in listed.getvalue()
    call_command("api_token", "revoke", secret[:11], stdout=StringIO())
    assert Program(secret, client).get("runs").status_code == 401


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("nobody", "--name", "x", "--scope", "read"), "no user 'nobody'"),
        (("admin", "--name", "x", "--scope", "reed"), "'reed' is not a scope; choose one or more of read"),
        (("admin", "--name", "x", "--scope", "read", "--days", "-1"), "give a number of days"),
        (("admin", "--name", " ", "--scope", "read"), "name is empty"),
    ],
)
def test_command_refuses_invalid_tokens(admin_user: User, options: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("api_token", "create", *options)
    assert not ApiToken.objects.exists()


def test_changes_by_a_token_have_its_owner_as_author(ci: Program) -> None:
    answer = ci.ask("PUT", "scenarios/exchange-latency", DOCUMENT)
    assert answer.json()["changed_by"] == "admin"
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    ci.post(f"runs/{run.pk}/stop")
    assert ci.get(f"runs/{run.pk}").json()["reason"] == "stopped by admin before it began"
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    ci.post(f"runs/{run.pk}/stop", {"reason": "the release\0 is over"})
    found = ci.get(f"runs/{run.pk}").json()["reason"]
    assert found.startswith("stopped by admin before it began: the release")
    assert found.endswith(" is over")
    Telling().begin()
    running = Run.objects.running().get()
    ci.post(f"runs/{running.pk}/stop", {"reason": "x" * 150})
    assert Run.objects.get(pk=running.pk).stop_requested_by == f"admin: {'x' * 150}"
    assert ci.post(f"runs/{running.pk}/stop", {"reason": "x" * 151}).status_code == 422
