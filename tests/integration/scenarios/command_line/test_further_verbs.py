"""Deleting, versions, acknowledging, approvals, webhooks, tokens: on this machine, and over the API."""

import tempfile
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings

from coordinator_client.command_line import edit_verb, webhook_verbs
from coordinator_client.command_line.remote import RemoteCoordinator
from scenarios.access import tokens
from scenarios.domain.outcomes import Rollback
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services
from scenarios.management.commands import scenario as command
from scenarios.models import Delivery, Fault, Scenario, Schedule, ScheduledTime, Webhook
from scenarios.models.access import ApiToken
from scenarios.runs import deletion_requests
from tests.command_line import CommandLine
from tests.in_process_api import in_process_client
from tests.integration.scenarios.story_rows import DOCUMENT, Telling

pytestmark = pytest.mark.django_db(transaction=True)
CHANGED = DOCUMENT.replace("title:", "title: Changed,", 1)
NAME = "exchange-latency"


@pytest.fixture(params=["local", "remote"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def scenario(
    way: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> CommandLine:
    settings.WEBHOOK_ALLOWED_HOSTS = ["hooks.example.com"]
    ada = User.objects.create_superuser("ada")
    secret = tokens.create_token(ada, "a test", tokens.SCOPES)[1]
    if way == "remote":
        monkeypatch.setattr(command, "connect", lambda *_where: RemoteCoordinator(in_process_client(secret)))
    return CommandLine(capsys)


def store(document: str = DOCUMENT) -> Scenario:
    return stored_scenarios.save_scenario(documents.read_document(document))


def test_versions_are_listed_and_shown(scenario: CommandLine) -> None:
    store()
    store(CHANGED)
    listed = scenario("versions", NAME, "--json").json["items"]
    assert [(item["version"], item["current"]) for item in listed] == [(2, True), (1, False)]
    assert scenario("versions", NAME, "--limit", 1).out.split()[0] == "2"
    assert scenario("versions", NAME, "--show", 1).out == DOCUMENT
    gone = scenario("versions", NAME, "--show", 3)
    assert (gone.code, gone.err) == (7, f"Scenario '{NAME}' has no version 3.")


def test_scenario_is_edited_unless_somebody_else_has_changed_it(
    scenario: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("EDITOR", "sed -i s/^kind:/kind:/")
    monkeypatch.delenv("VISUAL", raising=False)
    store()
    assert scenario("edit", NAME).out == "Nothing was changed.\n"
    monkeypatch.setenv("EDITOR", "sed -i s/title:/title:\\ Changed,/")
    assert scenario("edit", NAME, "--json").json == {"stored": True, "name": NAME}
    assert Scenario.objects.get().document == CHANGED
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("EDITOR", "sed -i s/phases:/phrases:/")
    wrong = scenario("edit", NAME)
    (draft,) = tmp_path.iterdir()
    assert (wrong.code, f"the draft is kept in '{draft}'" in wrong.err) == (2, True), wrong.err
    draft.unlink()

    monkeypatch.setenv("EDITOR", "false")
    failed = scenario("edit", NAME)
    nothing = "The editor 'false' ended with the exit code 1. Nothing was changed."
    assert (failed.code, nothing in failed.err, list(tmp_path.iterdir())) == (2, True, []), failed.err
    monkeypatch.setenv("EDITOR", "sh -c 'echo more >>$0; kill -9 $$'")
    failed = scenario("edit", NAME)
    (draft,) = tmp_path.iterdir()
    assert " was ended by SIGKILL. Nothing was stored; " in failed.err
    assert f"the draft is kept in '{draft}'" in failed.err
    draft.unlink()
    monkeypatch.delenv("EDITOR")
    without = scenario("edit", NAME)
    assert (without.code, "name a program in EDITOR" in without.err) == (2, True), without.err

    def change_meanwhile(_editor: str, draft: Path) -> int:
        draft.write_text(CHANGED + "# mine")
        store(DOCUMENT + "# theirs")
        return 0

    monkeypatch.setenv("EDITOR", "vi")
    monkeypatch.setattr(edit_verb, "open_editor", change_meanwhile)
    refused = scenario("edit", NAME)
    (draft,) = tmp_path.iterdir()
    assert (refused.code, draft.read_text()) == (2, CHANGED + "# mine")
    assert "Somebody has changed or deleted scenario" in refused.err
    assert f"the draft is kept in '{draft}'" in refused.err
    assert Scenario.objects.get().document == DOCUMENT + "# theirs"


def test_scenario_is_deleted_unless_it_is_needed(scenario: CommandLine) -> None:
    Telling()
    refused = scenario("delete", NAME)
    assert (refused.code, "cannot be removed now" in refused.err) == (2, True)
    store(DOCUMENT.replace(NAME, "another"))
    Schedule.objects.create(name="nightly", scenario_name="another", cron="30 2 * * *")
    deleted = scenario("delete", "another", "--json")
    assert deleted.json == {"deleted": "another"}
    assert "Schedule 'nightly' still names 'another' and can start no run of it." in deleted.err
    missing = scenario("delete", "anotter")
    assert (missing.code, "There is no scenario 'anotter'" in missing.err) == (7, True)


def test_deletion_of_a_scenario_with_many_runs_tells_how_far_it_is(
    scenario: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion_requests, "MAX_AT_ONCE", 0)
    Telling().finish()
    asked = scenario("delete", NAME)
    assert (asked.code, "1 of 1 are left" in asked.out) == (0, True)
    assert "It does not go on: " in asked.out  # no watchdog has reported
    (key,) = deletion_requests.list_requests()
    pace = deletion_requests.Pace()
    for _look_and_batch in range(2):
        assert deletion_requests.carry_on(key, pace)
    told = scenario("delete", NAME, "--json").json["being_deleted"]
    assert (told["name"], told["total"], told["left"]) == (NAME, 1, 0)
    refused = scenario("run", NAME)
    assert (refused.code, "is being deleted" in refused.err) == (2, True)
    assert "manage.py scenario keep NAME' withdraws the deletion." in refused.err
    monkeypatch.setattr(edit_verb, "open_editor", None)  # which is not called
    unedited = scenario("edit", NAME, "--json")
    assert (unedited.code, unedited.json["error"]["code"]) == (2, "being_deleted")
    assert not deletion_requests.carry_on(key, pace)
    assert scenario("delete", NAME).code == 7
    gone = scenario("versions", NAME)
    assert (gone.code, "gets its versions back when it is imported again" in gone.err) == (7, True)


def test_scenario_that_is_being_deleted_is_kept(
    scenario: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion_requests, "MAX_AT_ONCE", 0)
    Telling().finish()
    scenario("delete", NAME)
    (key,) = deletion_requests.list_requests()
    pace = deletion_requests.Pace()
    for _look_and_batch in range(2):
        assert deletion_requests.carry_on(key, pace)
    kept = scenario("keep", NAME)
    assert (kept.code, "1 of 1 rows no longer refer to it" in kept.out) == (0, True), kept.err
    again = scenario("keep", NAME)
    assert (again.code, "is not being deleted" in again.err) == (7, True)
    missing = scenario("keep", "anotter")
    assert (missing.code, "There is no scenario 'anotter'" in missing.err) == (7, True)
    assert scenario("run", NAME, "--detach").code == 0


def test_outstanding_fault_is_acknowledged_once(scenario: CommandLine) -> None:
    telling = Telling()
    telling.begin()
    telling.finish(Rollback.DIRTY)
    fault = Fault.objects.get()
    assert "is acknowledged" in scenario("acknowledge", fault.pk, "--reason", "the host is gone").out
    assert Fault.objects.get().state == "acknowledged"
    again = scenario("acknowledge", fault.pk, "--reason", "once more")
    assert (again.code, "only an outstanding" in again.err.lower() or "outstanding" in again.err) == (2, True)


def test_approvals_are_listed_shown_and_decided_by_a_second_person(scenario: CommandLine, way: str) -> None:
    services.register_service("exchange", "http://127.0.0.1:9101", is_protected=True)
    store()
    started = scenario("run", NAME, "--detach")
    (item,) = scenario("approval", "list", "--state", "pending", "--json").json["items"]
    command = f"manage.py scenario approval approve {item['id']}"
    assert f"A second person approves it with '{command}'." in started.err
    shown = scenario("approval", "show", item["id"])
    assert (shown.code, "exchange" in shown.out) == (0, True), shown.err
    assert f"For the run {item['run'][:8]} alone." in shown.out
    named = ("--as", "ada") if way == "local" else ()
    if way == "remote":  # the person who has requested it
        decided = scenario("approval", "approve", item["id"])
        assert (decided.code, "a second person must approve it" in decided.err) == (8, True)
    refused = scenario("approval", "refuse", item["id"], "--reason", "no", *named)
    assert refused.out.endswith("is refused.\n"), refused.err
    for number in (0, 99, 10**22):
        missing = scenario("approval", "show", number)
        assert (missing.code, f"There is no approval {number}" in missing.err) == (7, True), missing.err


def test_webhook_is_added_tested_and_removed(
    scenario: CommandLine, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = scenario(
        "webhook", "add", "chat", "--url", "https://hooks.example.com/runs", "--event", "run.finished"
    )
    assert (added.code, added.out.startswith("whsec_")) == (0, True), added.err
    assert "not shown again" in added.err
    assert scenario("webhook", "list", "--json").json["items"][0]["events"] == ["run.finished"]
    monkeypatch.setattr(webhook_verbs, "MAX_TEST_SECONDS", 0)
    tried = scenario("webhook", "test", "chat")  # there is no such receiver, and for the API no watchdog
    reason = "hooks.example.com" if way == "local" else "is not sent yet; is a watchdog running?"
    assert (tried.code, reason in tried.err) == (1, True), tried.err
    assert scenario("webhook", "secret", "chat").out not in ("", added.out)
    refused = scenario("webhook", "add", "other", "--url", "https://elsewhere.example/")
    assert (refused.code, "not allowed" in refused.err) == (2, True)
    monkeypatch.setattr(deletion_requests, "MAX_AT_ONCE", 0)
    removed = scenario("webhook", "remove", "chat")
    assert (removed.code, " are left" in removed.out) == (0, True), removed.err
    assert "is kept" in scenario("webhook", "keep", "chat").out
    again = scenario("webhook", "keep", "chat")
    assert (again.code, "is not being deleted" in again.err) == (7, True)
    Delivery.objects.all().delete()
    assert scenario("webhook", "remove", "chat").code == 0
    assert not Webhook.objects.exists()
    missing = scenario("webhook", "test", "chat")
    assert (missing.code, "There is no webhook 'chat'" in missing.err) == (7, True)


def test_tokens_are_listed_and_revoked_and_never_shown(scenario: CommandLine) -> None:
    _, secret = tokens.create_token(User.objects.get(), "nightly", ["read"])
    listed = scenario("token", "list")
    assert secret[:11] in listed.out
    assert secret not in listed.out
    revoked = scenario("token", "revoke", secret)
    assert (revoked.code, secret in revoked.out + revoked.err) == (0, False)
    assert ApiToken.objects.get(name="nightly").state == "revoked"
    unknown = scenario("token", "revoke", "tc_unknown-and-very-secret")
    assert (unknown.code, "very-secret" in unknown.err) == (7, False)


def test_whoami_names_the_user_or_this_command(scenario: CommandLine, way: str) -> None:
    told = scenario("whoami", "--json").json
    assert told["user"] == ("ada" if way == "remote" else "the command line")
    assert scenario("whoami").out.startswith(told["user"])


def test_schedule_is_set_by_a_user_shown_and_removed(
    scenario: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.register_service("exchange", "http://127.0.0.1:9101")
    store()
    words = (
        "schedule",
        "set",
        "nightly",
        "--scenario",
        NAME,
        "--cron",
        "30 2 * * *",
        "--var",
        "delay_ms=300",
    )
    done = scenario(*words)
    assert (done.code, "its next time is" in done.out) == (0, True), done.err
    row = Schedule.objects.get()
    assert (row.variables, str(row.changed_by)) == ({"delay_ms": 300}, "ada")  # of the type of the variable
    wrong = scenario(*words[:-4], "--cron", "61 * * * *")
    assert (wrong.code, "Invalid cron" in wrong.err) == (2, True)
    assert NAME in scenario("schedule", "show", "nightly").out
    assert scenario("list", "--search", "LATENCY", "--limit", 1).out.startswith(NAME)
    assert scenario("list", "--search", "nothing of this").err == "No scenarios match.\n"
    started = scenario("run", NAME, "--detach").out.strip()
    assert started in scenario("status", "latest").out
    assert scenario("schedule", "list", "--json").json["items"][0]["name"] == "nightly"
    assert "is paused" in scenario("schedule", "pause", "nightly").out
    noted = ScheduledTime.objects.create(schedule=row, due_at=row.changed_at, outcome="skipped")
    monkeypatch.setattr(deletion_requests, "MAX_AT_ONCE", 0)
    assert "is being deleted" in scenario("schedule", "remove", "nightly").out
    assert "is kept" in scenario("schedule", "keep", "nightly").out
    noted.delete()
    assert scenario("schedule", "remove", "nightly").code == 0
    assert not Schedule.objects.exists()


def test_service_and_host_are_shown(scenario: CommandLine) -> None:
    services.register_service("exchange", "http://127.0.0.1:9101", is_protected=True)
    shown = scenario("service", "show", "exchange").out
    assert "base_url: http://127.0.0.1:9101\n" in shown
    assert "protected: yes\n" in shown
    assert scenario("host", "add", "shop-1", "--label", "role=shop").code == 0
    assert "labels: role=shop\n" in scenario("host", "show", "shop-1").out
    changed = scenario("service", "add", "exchange", "--replace", "--no-protected", "--description", "x [y]")
    fields = "description from - to x [y], protected from yes to no"
    assert changed.out == f"Service exchange is changed: {fields}.\n"
    changed = scenario("host", "add", "shop-1", "--replace")
    assert changed.out == "Host shop-1 is as it was; nothing has changed.\n"
    assert scenario("host", "add", "shop-2", "--replace").out.startswith("Host shop-2 is registered")
    assert scenario("host", "remove", "shop-2").code == 0
    missing = scenario("host", "show", "shop-2")
    assert (missing.code, "There is no host 'shop-2'" in missing.err) == (7, True)


def test_every_verb_writes_json(scenario: CommandLine) -> None:
    store()
    for words in (
        ("release",),
        ("stop", "--all", "--reason", "a test"),
        ("export", NAME),
        ("schedules",),
        ("faults",),
        ("approval", "list"),
    ):
        said = scenario(*words, "--json")
        assert (said.code, isinstance(said.json, dict)) == (0, True), words
    scenario("release")
