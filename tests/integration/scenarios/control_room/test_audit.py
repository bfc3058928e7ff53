"""Whatever changes something is written down: who, what, from where, and whether it was refused."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from scenarios.access import audit, tokens
from scenarios.access.groups import GROUPS
from scenarios.models import AuditEntry

pytestmark = pytest.mark.django_db

LIST = "/admin/scenarios/auditentry/"
SERVICE = {"name": "shop", "base_url": "http://127.0.0.1:9/", "health_path": "/"}


def read_entries() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("pk").values_list("who", "action", "result"))


@pytest.fixture
def ann() -> User:
    return User.objects.create_superuser("ann", password="a long password of ann's")


def test_logins_and_changes_in_the_control_room_are_written_down(client: Client, ann: User) -> None:
    client.post("/admin/login/", {"username": "ann", "password": "wrong"})
    client.post("/admin/login/", {"username": "ann", "password": "a long password of ann's"})
    client.get(LIST)
    client.post("/admin/stop/", {"reason": "an incident"}, REMOTE_ADDR="192.0.2.7")
    client.post("/admin/logout/")
    said = read_entries()
    logins = [("ann", "log in", "refused"), ("ann", "log in", "done"), ("ann", "log out", "done")]
    assert [entry for entry in said if "log" in entry[1]] == logins
    stop = AuditEntry.objects.get(action__contains="stop")
    assert (stop.who, stop.entrance, stop.result, stop.client) == ("ann", "control room", "done", "192.0.2.7")
    assert stop.request_id


def test_writes_over_the_api_name_their_token_and_refusals_too(client: Client, ann: User) -> None:
    _token, secret = tokens.create_token(ann, "nightly build", ["read", "run"])
    headers = {"authorization": f"Bearer {secret}"}
    client.get("/api/v1/runs", headers=headers)
    client.delete("/api/v1/scenarios/gone", headers=headers)
    [entry] = AuditEntry.objects.all()
    assert (entry.who, entry.entrance) == ("ann", "API, token nightly build")
    assert (entry.action, entry.target) == ("scenario: delete", "/api/v1/scenarios/gone")
    assert entry.result == "refused: 403 Forbidden"
    assert secret not in str(AuditEntry.objects.values())


def test_an_address_that_no_database_stores_is_written_down_all_the_same(client: Client, ann: User) -> None:
    _token, secret = tokens.create_token(ann, "nightly build", ["read", "services"])
    client.delete("/api/v1/services/a%00b", headers={"authorization": f"Bearer {secret}"})
    [entry] = AuditEntry.objects.all()
    assert entry.target == "/api/v1/services/a\N{REPLACEMENT CHARACTER}b"


def test_requests_that_only_read_are_not_audited(admin_client: Client) -> None:
    AuditEntry.objects.all().delete()
    admin_client.post("/admin/scenarios/scenario/draft/", b"kind: Scenario", content_type="text/plain")
    admin_client.post("/admin/scenarios/scenario/1/run/", {"dry_run": "yes"})
    assert read_entries() == []


def test_a_command_on_this_machine_is_written_down_without_its_variables() -> None:
    call_command("scenario", "list")
    with pytest.raises(CommandError, match="There is no scenario"):
        call_command("scenario", "run", "nothing", "--var", "password=hush-hush")
    [entry] = AuditEntry.objects.all()
    assert entry.entrance.startswith("command line of ")
    assert (entry.action, entry.target) == ("run", "nothing")
    assert entry.result != "done"
    assert "hush" not in str(AuditEntry.objects.values())


def test_the_list_is_exported_as_filtered_and_without_formulas(admin_client: Client) -> None:
    for who in ("=cmd|' /C calc'!A0", "bob"):
        AuditEntry.objects.create(who=who, action="run stop", entrance="control room", result="done")
    page = admin_client.get(LIST)
    assert "Export as CSV" in page.content.decode()
    answer = admin_client.get(f"{LIST}export/?q=stop")
    lines = answer.getvalue().decode().splitlines()
    assert lines[0].startswith("at,who,action")
    assert len(lines) == 3
    assert "bob" in lines[1]
    assert ",'=cmd" in lines[2]
    assert "bob" not in admin_client.get(f"{LIST}export/?q=cmd").getvalue().decode()


def test_nobody_changes_it_and_only_those_with_the_permission_see_it(
    admin_client: Client, client: Client
) -> None:
    entry = AuditEntry.objects.create(who="ann", action="run stop", entrance="control room", result="done")
    assert admin_client.post(f"{LIST}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    client.force_login(User.objects.create_user("reader", is_staff=True))
    assert client.get(LIST).status_code == 403
    assert client.get(f"{LIST}export/").status_code == 403


def test_old_entries_are_deleted() -> None:
    for _ in range(3):
        AuditEntry.objects.create(who="ann", action="run stop", entrance="control room", result="done")
    now = timezone.now()
    assert audit.prune(now, at_most=2) == 2
    assert audit.prune(now, at_most=2) == 1


@pytest.mark.parametrize("name", GROUPS)
def test_new_members_of_shipped_groups_can_open_the_pages(client: Client, name: str) -> None:
    group = Group.objects.get(name=name)
    joined, added = (User.objects.create_user(word, password="a long word") for word in ("joined", "added"))
    joined.groups.add(group)
    group.user_set.add(added)
    for user in (joined, added):
        user.refresh_from_db()
        assert user.is_staff
    client.force_login(joined)
    assert client.get("/admin/").status_code == 200


def test_another_group_gives_no_access() -> None:
    other = User.objects.create_user("other", password="a long word")
    other.groups.add(Group.objects.create(name="Guests"))
    other.refresh_from_db()
    assert not other.is_staff


def test_the_provider_decides_for_those_who_log_in_there() -> None:
    other = User.objects.create_user("other")
    other.groups.add(Group.objects.get(name="Viewer"))
    other.refresh_from_db()
    assert not other.is_staff


def test_an_address_with_nothing_leads_back(admin_client: Client) -> None:
    answer = admin_client.get("/admin/scenarios/run/00000000-0000-0000-0000-000000000000/report/")
    assert answer.status_code == 404
    assert "Go to Home" in answer.content.decode()


def test_every_scope_is_explained_in_words() -> None:
    assert set(tokens.SCOPE_WORDS) == set(tokens.SCOPES)
