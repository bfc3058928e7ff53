"""Going back to versions, plans, and changing webhooks: on this machine, and over the API."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from coordinator_client.command_line.remote import RemoteCoordinator
from scenarios.command_line.local import LocalCoordinator
from scenarios.models import Scenario, Webhook
from tests.command_line import CommandLine
from tests.integration.scenarios.api.test_last_runs import store
from tests.integration.scenarios.story_rows import DOCUMENT

pytestmark = pytest.mark.django_db
NAME = "exchange-latency"
CHANGED = DOCUMENT.replace("title:", "title: Changed,", 1)


def stored() -> str:
    return Scenario.objects.get().document


def test_an_earlier_version_becomes_the_newest_one(either: CommandLine) -> None:
    store(DOCUMENT)
    store(CHANGED)
    assert either("export", NAME, "--version", 1).out == DOCUMENT
    assert either("export", NAME).out == CHANGED
    done = either("revert", NAME, "--version", 1, "--json")
    assert (done.code, done.json) == (0, {"stored": True, "name": NAME, "version": 1}), done.err
    assert stored() == DOCUMENT
    again = either("revert", NAME, "--version", 3)
    assert (again.code, again.out) == (
        0,
        f"Version 3 is what is stored of {NAME} now; nothing was changed.\n",
    )
    assert Scenario.history.count() == 3
    for words in (("revert", NAME, "--version", 9), ("export", NAME, "--version", 9)):
        missing = either(*words)
        assert (missing.code, "has no version 9" in missing.err) == (7, True)
    assert either("revert", "exchange-latancy", "--version", 1).code == 7
    assert "arguments are required: --version" in either("revert", NAME).err
    assert either("export", "--all", "x", "--version", 1).code == 2


def test_a_version_that_is_no_longer_valid_is_not_restored(either: CommandLine) -> None:
    store(DOCUMENT)
    Scenario.history.update(document=DOCUMENT.replace("method: POST", "metod: POST", 1))
    store(CHANGED)
    refused = either("revert", NAME, "--version", 1)
    assert (refused.code, stored()) == (2, CHANGED)
    assert "is no longer valid, so nothing was stored" in refused.err
    assert "metod" in refused.err


def test_what_somebody_stores_in_the_meantime_is_not_replaced(
    either: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(DOCUMENT)
    store(CHANGED)
    theirs = DOCUMENT + "# theirs\n"
    for kind in (LocalCoordinator, RemoteCoordinator):
        find: Any = kind.find_version

        def find_late(coordinator: Any, name: str, version: int, find: Any = find) -> Any:
            store(theirs)
            return find(coordinator, name, version)

        monkeypatch.setattr(kind, "find_version", find_late)
    refused = either("revert", NAME, "--version", 1)
    assert (refused.code, stored()) == (2, theirs)
    assert "Somebody has changed or deleted scenario" in refused.err


def test_plan_is_a_dry_run(either: CommandLine) -> None:
    store(DOCUMENT)
    words = (NAME, "--var", "delay_ms=300", "--json")
    plan, dry_run = either("plan", *words), either("run", *words, "--dry-run")
    assert (plan.code, plan.json) == (dry_run.code, dry_run.json)
    assert plan.json["steps"]
    assert either("plan", NAME, "--var", "delay=300").code == 2


def test_a_webhook_is_changed_disabled_and_enabled(either: CommandLine, settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = ["hooks.example.com"]
    either("webhook", "add", "chat", "--url", "https://hooks.example.com/runs", "--tag", "nightly")
    before = Webhook.objects.get()
    changed = either(
        "webhook", "set", "chat", "--url", "https://hooks.example.com/b", "--event", "run.finished"
    )
    assert (changed.code, changed.out) == (0, "Webhook chat is changed.\n"), changed.err
    webhook = Webhook.objects.get()
    assert (webhook.url, webhook.events) == ("https://hooks.example.com/b", ["run.finished"])
    assert (webhook.tags, webhook.salt, webhook.is_enabled) == (["nightly"], before.salt, True)
    assert either("webhook", "set", "chat", "--tag", "", "--json").json["tags"] == []
    assert either("webhook", "disable", "chat", "--json").json["enabled"] is False
    assert either("webhook", "enable", "chat").out == "Webhook chat is enabled.\n"
    assert Webhook.objects.get().is_enabled
    for words, code, sentence in (
        (("set", "chat"), 2, "Say what to change"),
        (("set", "chat", "--url", "https://elsewhere.example/"), 2, "is not allowed"),
        (("enable", "chatt"), 7, "There is no webhook 'chatt'"),
    ):
        refused = either("webhook", *words)
        assert (refused.code, sentence in refused.err) == (code, True), refused.err
