"""An administrator invites, and the invited person makes an account: once, in time, with the groups given."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core import signing
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.access import invitations
from scenarios.access.invitations import InvitationRefused
from scenarios.models import AuditEntry, Invitation
from tests.integration.scenarios.planned_rows import someone
from tests.servers.mail_server import MailServer

pytestmark = pytest.mark.django_db

ADD = reverse("admin:scenarios_invitation_add")
LIST = reverse("admin:scenarios_invitation_changelist")
FORM = "/invitation/"
PASSWORD = "correct-horse-battery-7"
ACCOUNT = {"username": "ann", "first_name": "Ann", "password1": PASSWORD, "password2": PASSWORD}
SENT: dict[str, Any] = {"email": "", "groups": ["Viewer", "Runner"], "days": "7"}


def invite(client: Client, **changed: Any) -> str:
    """The path of the link that is shown."""
    content = client.post(ADD, {**SENT, **changed}).content.decode()
    found = re.search(r"<code>http://testserver(/invitation/[^<]+/)</code>", content)
    assert found is not None, content
    return found[1]


def accept(link: str, **changed: str) -> Any:
    """As somebody without an account."""
    client = Client()
    client.get(link)
    return client.post(FORM, {**ACCOUNT, **changed}, follow=True)


def read_refusal(answer: Any) -> str:
    found = re.search(r'role="alert">([^<]+)<', answer.content.decode())
    assert found is not None
    return found[1]


def test_invited_person_chooses_name_and_password_and_is_logged_in(admin_client: Client) -> None:
    link = invite(admin_client)
    client = Client()
    there = client.get(link)
    assert there["Location"] == FORM  # from here on, no address contains the word of the link
    assert "admin invites you" in client.get(FORM).content.decode()
    answer = client.post(FORM, ACCOUNT, follow=True)
    assert answer.redirect_chain == [("/admin/", 302)]
    assert "Welcome, Ann." in answer.content.decode()
    ann = User.objects.get(username="ann")
    assert {group.name for group in ann.groups.all()} == {"Viewer", "Runner"}
    assert (ann.is_staff, ann.is_superuser, ann.check_password(PASSWORD)) == (True, False, True)
    assert Invitation.objects.get().state == "accepted by ann"


def test_invitation_and_its_acceptance_are_in_the_audit_without_the_link(admin_client: Client) -> None:
    link = invite(admin_client)
    accept(link)
    entries = list(AuditEntry.objects.order_by("pk").values_list("who", "action", "target"))
    assert ("admin", "invitation add", ADD) in entries
    assert ("ann", "invitation", FORM) in entries
    assert link.split("/")[2] not in str(AuditEntry.objects.values())


def test_link_is_used_once(admin_client: Client) -> None:
    link = invite(admin_client)
    late = Client()
    late.get(link)
    accept(link)
    second = late.post(FORM, {**ACCOUNT, "username": "bob"})
    assert second.status_code == 410
    assert read_refusal(second).startswith("This invitation was used before.")
    assert not User.objects.filter(username="bob").exists()


def test_second_of_two_concurrent_acceptances_is_refused(admin_client: Client) -> None:
    invite(admin_client)
    seen_by_both = Invitation.objects.get()
    invitations.accept_invitation(seen_by_both, User(username="ann"))
    with pytest.raises(InvitationRefused, match="used before"):
        invitations.accept_invitation(seen_by_both, User(username="bob"))
    assert not User.objects.filter(username="bob").exists()


def test_name_that_is_taken_leaves_the_invitation_open(admin_client: Client) -> None:
    link = invite(admin_client)
    answer = accept(link, username="ADMIN")
    assert "already exists" in answer.content.decode()
    assert Invitation.objects.get().state == "open"
    assert accept(link).redirect_chain == [("/admin/", 302)]


@pytest.mark.parametrize("password", ["12345678", "short-7", "ann"])
def test_weak_password_is_refused(admin_client: Client, password: str) -> None:
    link = invite(admin_client)
    answer = accept(link, password1=password, password2=password)
    assert "errorlist" in answer.content.decode()
    assert not User.objects.filter(username="ann").exists()


def test_links_that_were_changed_or_made_up_are_refused(admin_client: Client) -> None:
    word = invite(admin_client).split("/")[2]
    other = signing.dumps(Invitation.objects.get().pk.hex, salt="another")
    nobody = signing.dumps("0" * 32, salt=invitations.SALT)
    for changed in (word[:-1], word.swapcase(), "x" + word, other, "x", "%00", "a" * 5000):
        refused = Client().get(f"/invitation/{changed}/")
        assert refused.status_code == 410
        assert read_refusal(refused).startswith("This link is not complete, or was changed.")
    assert read_refusal(Client().get(f"/invitation/{nobody}/")).startswith("This invitation does not exist")
    assert Client().get(FORM).status_code == 410


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("expired", "This invitation has expired."),
        ("withdrawn", "This invitation was withdrawn."),
        ("group", "The group &#x27;Runner&#x27; of this invitation was deleted."),
        ("inviter", "The account that sent this invitation is no longer active."),
    ],
)
def test_invitation_that_is_not_open_any_more_says_why(
    admin_client: Client, change: str, reason: str
) -> None:
    link = invite(admin_client)
    begun = Client()
    begun.get(link)
    if change == "expired":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif change == "withdrawn":
        chosen = {"action": "withdraw", "_selected_action": [str(Invitation.objects.get().pk)]}
        assert "1 invitation withdrawn." in admin_client.post(LIST, chosen, follow=True).content.decode()
    elif change == "group":
        Group.objects.get(name="Runner").delete()
    else:
        User.objects.filter(username="admin").update(is_active=False)
    for answer in (Client().get(link), begun.post(FORM, ACCOUNT)):
        assert read_refusal(answer).startswith(reason)
    assert not User.objects.filter(username="ann").exists()


def test_nobody_gives_away_more_than_they_may_do(client: Client) -> None:
    helper = someone("helper", "add_user", "view_user")
    helper.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(helper)
    assert "Administrator" not in client.get(ADD).content.decode()
    refused = client.post(ADD, {**SENT, "groups": ["Administrator"]})
    assert "errorlist" in refused.content.decode()
    with pytest.raises(InvitationRefused, match="You cannot invite into the group 'Administrator'"):
        invitations.create_invitation(helper, ["Administrator"], timedelta(days=1))
    invite(client, groups=["Viewer"])
    assert Invitation.objects.get().groups == ["Viewer"]


def test_only_people_who_may_add_users_invite(client: Client) -> None:
    client.force_login(someone("eve", "view_user", "view_run"))
    assert {client.get(page).status_code for page in (ADD, LIST)} == {403}
    assert client.post(ADD, SENT).status_code == 403
    assert "Invite…" not in client.get("/admin/auth/user/").content.decode()


def test_link_is_sent_where_a_mail_server_is_configured(admin_client: Client, settings: Settings) -> None:
    with MailServer().listening() as server:
        settings.EMAIL_URL = f"smtp://127.0.0.1:{server.port}"
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 600.0
        sent = admin_client.post(ADD, {**SENT, "email": "ann@example.com"}).content.decode()
        assert "The link was sent to ann@example.com." in sent
        assert "/invitation/" not in sent.replace(LIST, "")
        [mail] = server.mails
        assert server.recipients == [["ann@example.com"]]
        found = re.search(r"http://testserver(/invitation/\S+/)", mail.get_content())
        assert found is not None
        accept(found[1])
        assert User.objects.get(username="ann").email == "ann@example.com"
        for injected in ("a@example.com\r\nBcc: b@example.com", "a@example.com, b@example.com"):
            refused = admin_client.post(ADD, {**SENT, "email": injected})
            assert "errorlist" in refused.content.decode()
        server.refusal = "554 no"
        failed = admin_client.post(ADD, {**SENT, "email": "bob@example.com"}).content.decode()
    assert "Not sent: the mail server answered 554" in failed
    assert "<code>http://testserver/invitation/" in failed
    assert len(server.mails) == 1


def test_acceptance_leads_to_home_wherever_the_link_points(admin_client: Client) -> None:
    link = invite(admin_client)
    client = Client()
    assert client.get(link, {"next": "https://example.com/"})["Location"] == FORM
    answer = client.post(f"{FORM}?next=https://example.com/", {**ACCOUNT, "next": "https://example.com/"})
    assert answer["Location"] == "/admin/"


def test_old_invitations_are_deleted(admin_client: Client) -> None:
    invite(admin_client)
    assert invitations.prune(timezone.now(), at_most=10) == 0
    assert invitations.prune(timezone.now() + timedelta(days=8), at_most=10) == 1
    assert not Invitation.objects.exists()
