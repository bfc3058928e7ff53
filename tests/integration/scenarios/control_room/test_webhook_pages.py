"""Webhooks in the admin and by the command line: kept, tested, and their secret shown once."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

from scenarios.checks import check_outside
from scenarios.models import Delivery, Webhook
from scenarios.notifications import addresses, deliveries, webhooks
from tests.integration.scenarios.runs.outside_rows import a_webhook
from tests.servers.receiver import Receiver

pytestmark = pytest.mark.django_db

ADD = "/admin/scenarios/webhook/add/"
FORM = {
    "name": "chat",
    "kind": "webhook",
    "url": "http://127.0.0.1:9/hook",
    "events": ["run.finished"],
    "is_enabled": "on",
}
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")


def build_page_address(webhook: Webhook, *, part: str = "change") -> str:
    return f"/admin/scenarios/webhook/{webhook.pk}/{part}/"


def test_the_secret_is_on_the_answer_to_the_form_and_nowhere_else(
    admin_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    answer = admin_client.post(ADD, {**FORM, "tags": "latency, , outage"})
    [secret] = set(SECRET.findall(answer.content.decode()))
    assert "no-store" in answer["Cache-Control"]
    webhook = Webhook.objects.get()
    assert webhook.tags == ["latency", "outage"]
    assert webhook.changed_by is not None
    stored = [str(value) for row in Webhook.objects.values_list() for value in row]
    pages = [admin_client.get(page).content.decode() for page in (build_page_address(webhook), "/admin/")]
    for text in (*stored, *pages, caplog.text, *map(str, LogEntry.objects.values_list())):
        assert secret not in text
        assert not SECRET.search(text)


def test_a_new_secret_is_shown_once_too_and_an_edit_makes_none(admin_client: Client) -> None:
    admin_client.post(ADD, FORM)
    webhook = Webhook.objects.get()
    before = webhooks.list_signing_keys(webhook, webhook.secret_changed_at)
    edited = admin_client.post(build_page_address(webhook), {**FORM, "name": "renamed"}, follow=True)
    assert not SECRET.search(edited.content.decode())
    made = admin_client.post(build_page_address(webhook, part="secret")).content.decode()
    assert SECRET.search(made)
    webhook.refresh_from_db()
    assert webhook.name == "renamed"
    assert webhooks.list_signing_keys(webhook, webhook.secret_changed_at)[1:] == before


@pytest.mark.parametrize(
    ("url", "environment", "words"),
    [
        ("http://127.0.0.1.example.com/", "development", "the setting WEBHOOK_ALLOWED_HOSTS allows"),
        ("https://example.org/hook", "production", "allows hooks.example.com, 127.0.0.1"),
        ("http://hooks.example.com/", "production", "must begin with 'https://'"),
        ("https://ann:secret@hooks.example.com/", "production", "must not contain a password or a fragment"),
        ("ftp://hooks.example.com/", "production", "Invalid address 'ftp:"),
        ("https://169.254.169.254/latest", "production", "Host '169.254.169.254' is not allowed"),
    ],
)
def test_an_address_that_the_site_does_not_send_to_is_refused_with_the_rule(
    settings: Settings, url: str, environment: str, words: str
) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = ("hooks.example.com", "127.0.0.1")
    settings.ENVIRONMENT = environment
    with pytest.raises(addresses.ReceiverRefused, match=words):
        addresses.check_address(url)


def test_the_form_says_why_an_address_is_refused(admin_client: Client) -> None:
    answer = admin_client.post(ADD, {**FORM, "url": "https://hooks.example.com/"})
    assert "the setting WEBHOOK_ALLOWED_HOSTS allows" in answer.content.decode()
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://hooks.example.com:8443/x?y=z", "hooks.example.com"),
        ("https://a.b.example.com/", ".example.com"),
        ("http://127.0.0.1:9/", "127.0.0.1"),
        ("http://[::1]:9/", "[::1]"),
    ],
)
def test_an_allowed_address_is_taken(settings: Settings, url: str, allowed: str) -> None:
    settings.ENVIRONMENT, settings.WEBHOOK_ALLOWED_HOSTS = "production", (allowed,)
    addresses.check_address(url)


def test_a_test_is_written_and_a_delivery_is_sent_again_by_a_button(admin_client: Client) -> None:
    webhook = a_webhook()
    admin_client.post(build_page_address(webhook, part="test"))
    delivery = deliveries.claim_next(webhook.pk)
    assert delivery is not None
    deliveries.record_failure(delivery, "answered 418", status=418)
    page = f"/admin/scenarios/delivery/{delivery.pk}/change/"
    for seen in (build_page_address(webhook), page, "/admin/scenarios/delivery/"):
        content = admin_client.get(seen).content.decode()
        assert "webhook.test" in content
        assert "answered 418" in content
    admin_client.post(f"/admin/scenarios/delivery/{delivery.pk}/again/")
    assert Delivery.objects.pending().count() == 1
    assert "418" in admin_client.get(build_page_address(webhook)).content.decode()


def test_viewers_can_neither_change_nor_send(client: Client) -> None:
    looker = User.objects.create_user("looker", is_staff=True)
    looks = ("view_webhook", "view_delivery")
    looker.user_permissions.set(Permission.objects.filter(codename__in=looks))
    client.force_login(looker)
    webhook = a_webhook()
    delivery = webhooks.send_test(webhook)
    for address in (
        build_page_address(webhook, part="test"),
        build_page_address(webhook, part="secret"),
        f"/admin/scenarios/delivery/{delivery.pk}/again/",
        build_page_address(webhook),
        ADD,
    ):
        assert client.post(address, FORM).status_code == 403
    content = client.get(build_page_address(webhook)).content.decode()
    assert "Send a test" not in content
    assert "webhook.test" in content


@pytest.mark.django_db(transaction=True)
def test_the_command_tests_a_webhook_at_once_and_ends_with_1_where_it_is_not_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Receiver().listening() as receiver:
        a_webhook(url=receiver.url)
        call_command("webhooks", "test", "chat")
        assert "chat: answered 200" in capsys.readouterr().out
        receiver.statuses = [401]
        with pytest.raises(SystemExit) as ended:
            call_command("webhooks", "test", "chat")
    assert (ended.value.code, "answered 401" in capsys.readouterr().out) == (1, True)
    call_command("webhooks", "list")
    assert "run.finished" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no webhook 'none'"):
        call_command("webhooks", "test", "none")


def test_the_command_adds_a_webhook_and_prints_its_secret_this_one_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("webhooks", "add", "pager", "http://127.0.0.1:9/", "--event", "fault.outstanding")
    assert SECRET.fullmatch(capsys.readouterr().out.strip())
    assert Webhook.objects.get().events == ["fault.outstanding"]
    with pytest.raises(CommandError, match="already exists"):
        call_command("webhooks", "add", "pager", "http://127.0.0.1:9/")
    with pytest.raises(CommandError, match="WEBHOOK_ALLOWED_HOSTS"):
        call_command("webhooks", "add", "other", "https://hooks.example.com/")


def test_half_of_grafanas_settings_and_links_to_nowhere_are_said_at_start(settings: Settings) -> None:
    settings.GRAFANA_URL, settings.GRAFANA_TOKEN = "http://127.0.0.1:3000", ""
    assert [message.id for message in check_outside()] == ["scenarios.E002"]
    settings.ENVIRONMENT, settings.GRAFANA_TOKEN = "production", "glsa_made_up"
    assert [message.id for message in check_outside()] == ["scenarios.W001"]
    settings.PUBLIC_URL = "https://coordinator.example.com"
    assert check_outside() == []
