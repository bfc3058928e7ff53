"""Allow lists over the API, on the command line and on their pages; who changed what is in the audit."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from scenarios.library.allow_lists import make_allow_lists
from scenarios.models import AllowList, AuditEntry
from tests.command_line import CommandLine
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem

pytestmark = pytest.mark.django_db
PLACE = "allow-lists/commands"
PAGE = reverse("admin:scenarios_allowlist_change", args=["commands"])


@pytest.fixture(autouse=True)
def site(settings: Settings, db: None) -> None:
    make_allow_lists()  # a test before may have emptied all tables
    settings.ALLOWED_COMMANDS = ("systemctl", "kubectl")
    settings.ALLOWED_COMMAND_VARIABLES = {"kubectl": frozenset({"NO_PROXY"})}


def test_a_list_is_narrowed_and_widened_again(ci: Program) -> None:
    names = [row["name"] for row in ci.get("allow-lists").json()["items"]]
    assert names == ["commands", "networks", "pidfile-dirs"]
    first = ci.get(PLACE)
    bound = ["systemctl", "kubectl:NO_PROXY"]
    assert (first.json()["bound"], first.json()["entries"], first.json()["allowed"]) == (bound, None, bound)
    narrowed = ci.ask("PUT", PLACE, {"entries": ["kubectl"]}, **{"If-Match": first["ETag"]})
    assert narrowed.status_code == 200, narrowed.content
    assert (narrowed.json()["allowed"], narrowed.json()["changed_by"]) == (["kubectl"], "admin")
    late = ci.ask("PUT", PLACE, {"entries": []}, **{"If-Match": first["ETag"]})
    assert "It was changed meanwhile" in read_problem(late, 412)["detail"]
    assert ci.ask("PUT", PLACE, {"entries": bound[::-1]}).json()["entries"] is None
    assert ci.ask("PUT", PLACE, {"entries": []}).json()["allowed"] == []
    assert ci.ask("PUT", PLACE, {"entries": None}).json()["allowed"] == bound
    details = list(AuditEntry.objects.exclude(detail="").order_by("pk").values_list("who", "detail"))
    assert details[:2] == [
        ("admin", "commands: systemctl, kubectl:NO_PROXY became kubectl"),
        ("admin", "commands: kubectl became systemctl, kubectl:NO_PROXY"),
    ]
    assert not AuditEntry.objects.exclude(detail="").exclude(result="done").exists()


@pytest.mark.parametrize(
    ("entries", "path", "message"),
    [
        (["systemctl", "sh"], "body.entries.1", "'sh' lies outside what this machine allows"),
        (["a\0b"], "body.entries.0", "contains a control character"),
        (["x" * 5000], "body.entries.0", "at most 300"),
        (["systemctl"] * 201, "body.entries.200", "too many"),
        ("systemctl", "body.entries", "list"),
        ([7], "body.entries.0", "expected text"),
    ],
)
def test_what_is_not_valid_names_its_place(ci: Program, entries: Any, path: str, message: str) -> None:
    problem = read_problem(ci.ask("PUT", PLACE, {"entries": entries}), 422)
    assert problem["errors"][0]["path"] == path
    assert message in problem["errors"][0]["message"]
    assert AllowList.objects.get(name="commands").entries is None
    read_problem(ci.get("allow-lists/others"), 404)
    read_problem(ci.ask("PUT", PLACE, {}), 422)


def test_narrowing_needs_its_permission_and_its_scope(admin_user: User) -> None:
    read_problem(program(person("scenarios.view_allowlist")).ask("PUT", PLACE, {"entries": []}), 403)
    scoped = program(admin_user, "read")
    assert scoped.get(PLACE).status_code == 200
    assert (
        "create a token with the scope 'allow-lists'"
        in read_problem(scoped.ask("PUT", PLACE, {"entries": []}), 403)["detail"]
    )


def test_the_command_line_shows_and_narrows_lists(scenario: CommandLine) -> None:
    told = scenario("allow-list", "set", "commands", "kubectl")
    assert told.out == "commands: kubectl. ALLOWED_COMMANDS allows systemctl, kubectl:NO_PROXY.\n", told.err
    assert "kubectl" in scenario("allow-list", "list").out
    assert scenario("allow-list", "show", "commands", "--json").json["allowed"] == ["kubectl"]
    refused = scenario("allow-list", "set", "commands", "sh")
    assert (refused.code, "Invalid entry: 'sh' lies outside" in refused.err) == (2, True)
    assert "There is no allow-list 'other'" in scenario("allow-list", "show", "other").err
    assert "nothing" in scenario("allow-list", "set", "commands").out
    assert "all that the setting allows" in scenario("allow-list", "reset", "commands").out
    entry = AuditEntry.objects.filter(entrance__startswith="command line").earliest("pk")
    assert entry.detail == "commands: systemctl, kubectl:NO_PROXY became kubectl"


def test_the_page_narrows_a_list_and_notices_that_somebody_was_faster(client: Client, ci: Program) -> None:
    client.force_login(User.objects.get(username="admin"))
    listed = client.get(reverse("admin:scenarios_allowlist_changelist")).content.decode()
    assert "all that the setting allows" in listed
    shown = client.get(PAGE).content.decode()
    assert "systemctl\nkubectl:NO_PROXY" in shown
    seen = "systemctl\r\nkubectl:NO_PROXY"
    assert client.post(PAGE, {"lines": "systemctl\r\n\r\n", "seen": seen}).status_code == 302
    assert ci.get(PLACE).json()["allowed"] == ["systemctl"]
    second = client.post(PAGE, {"lines": "", "seen": seen}).content.decode()
    assert "admin has changed the list &#x27;commands&#x27; meanwhile, to systemctl" in second
    refused = client.post(PAGE, {"lines": "sh\0", "seen": "systemctl"}).content.decode()
    assert "errorlist" in refused
    refused = client.post(PAGE, {"lines": "sh", "seen": "systemctl"}).content.decode()
    assert "&#x27;sh&#x27; lies outside what this machine allows" in refused
    assert client.post(reverse("admin:scenarios_allowlist_reset", args=["commands"])).status_code == 302
    assert ci.get(PLACE).json()["entries"] is None
    audit = client.get(reverse("admin:scenarios_auditentry_changelist"), {"q": "allow"}).content.decode()
    assert "commands: systemctl, kubectl:NO_PROXY became systemctl" in audit


def test_people_who_may_only_look_cannot_narrow(client: Client) -> None:
    viewer = person("scenarios.view_allowlist")
    viewer.is_staff = True
    viewer.save()
    client.force_login(viewer)
    page = client.get(PAGE)
    assert page.status_code == 200
    assert "<textarea" not in page.content.decode()
    assert client.post(PAGE, {"lines": "", "seen": ""}).status_code == 403
    assert client.post(reverse("admin:scenarios_allowlist_reset", args=["commands"])).status_code == 403
