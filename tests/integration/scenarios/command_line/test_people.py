"""What is done in the name of a person: on this machine, and over the API."""

import pytest
from django.contrib.auth.models import User

from scenarios.command_line import local_people
from scenarios.domain.outcomes import ApprovalState
from scenarios.models import Approval, Run, Schedule
from scenarios.models.audit import AuditEntry
from tests.command_line import CommandLine
from tests.integration.scenarios import planned_rows

pytestmark = pytest.mark.django_db(transaction=True)
SET = ("schedule", "set", "nightly", "--scenario", "break-exchange", "--cron", "30 2 * * *")


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_people, "read_account", lambda: "ops")
    planned_rows.stored()


def test_schedule_is_stored_alike_on_this_machine_and_over_the_api(either: CommandLine, way: str) -> None:
    if way == "local":
        User.objects.create_superuser("ada")
    words = (
        *SET,
        "--window",
        "02:00-05:00",
        "--time-zone",
        "Europe/Berlin",
        "--var",
        "delay=7",
        "--priority",
        "5",
    )
    done = either(*words)
    assert (done.code, "its next time is" in done.out) == (0, True), done.err
    Schedule.objects.update(window_days=[1], grace_minutes=60, is_paused=True)
    done = either("schedule", "set", "nightly", "--cron", "0 4 * * *", "--json")
    assert (done.code, done.json["changed_by"]) == (0, "ada"), done.err
    row = Schedule.objects.get()
    assert (row.cron, row.variables, row.priority) == ("0 4 * * *", {"delay": 7}, 5)
    assert (row.window_days, row.grace_minutes, row.is_paused) == ([1], 60, True)
    assert (row.time_zone, str(row.window)) == ("Europe/Berlin", "Monday, 02:00 to 05:00")
    done = either("schedule", "set", "nightly", "--window", "", "--var", "delay=8")
    row = Schedule.objects.get()
    assert (done.code, row.window_from, row.variables) == (0, None, {"delay": 8}), done.err
    unknown = either("schedule", "set", "nightly", "--unset-var", "rate")
    assert (unknown.code, "has no variable 'rate'; it has delay." in unknown.err) == (2, True), unknown.err
    assert either("schedule", "set", "nightly", "--unset-var", "delay").code == 0
    assert Schedule.objects.get().variables == {}
    elsewhere = either("schedule", "set", "nightly", "--environment", "staging")
    assert (elsewhere.code, "There is no environment 'staging'" in elsewhere.err) == (7, True), elsewhere.err
    refused = either("schedule", "set", "weekly", "--cron", "0 4 * * *")
    assert (refused.code, "A new schedule needs '--cron', and" in refused.err) == (2, True), refused.err


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("--cron", "61 * * * *"), "Invalid cron: "),
        (("--cron", "5"), "Invalid cron: '5' has 1 field: "),
        (("--scenario", "nothing"), "Invalid scenario: there is no scenario 'nothing'"),
        (("--time-zone", "Mars/Olympus"), "Invalid time_zone: "),
        (("--var", "delay=101"), "Invalid variables: "),
        (("--window", "2-25:00"), "Invalid window_to: "),
    ],
)
def test_mistakes_in_a_schedule_are_named_alike(
    either: CommandLine, way: str, changed: tuple[str, ...], words: str
) -> None:
    if way == "local":
        User.objects.create_superuser("ada")
    option, value = changed
    words_of = dict(zip(SET[3::2], SET[4::2], strict=True)) | {option: value}
    refused = either(*SET[:3], *(word for pair in words_of.items() for word in pair))
    assert (refused.code, words in refused.err) == (2, True), refused.err
    assert not Schedule.objects.exists()


def test_person_is_the_named_one_or_called_like_the_account_or_the_only_one(scenario: CommandLine) -> None:
    refused = scenario(*SET)
    assert (refused.code, "create one with 'manage.py createsuperuser'" in refused.err) == (2, True)
    User.objects.create_superuser("ada")
    planned_rows.someone("eve", "view_schedule")
    assert scenario(*SET, "--json").json["changed_by"] == "ada"
    User.objects.create_superuser("bob")
    refused = scenario(*SET)
    assert (refused.code, "'--as USER' with one of ada, bob." in refused.err) == (2, True), refused.err
    assert scenario(*SET, "--as", "bob", "--json").json["changed_by"] == "bob"
    User.objects.create_superuser("ops")
    assert scenario(*SET, "--json").json["changed_by"] == "ops"
    reasons = (("eve", 8, "User 'eve' may not do this"), ("eva", 7, "There is no user 'eva'"))
    for name, code, reason in reasons:
        refused = scenario(*SET, "--as", name)
        assert (refused.code, reason in refused.err) == (code, True), refused.err
    User.objects.filter(username="ops").update(is_active=False)
    assert "User 'ops' may not do this" in scenario(*SET).err


def test_approval_needs_a_person_who_did_not_ask_for_it(scenario: CommandLine) -> None:
    planned_rows.exchange(is_protected=True)
    ada = User.objects.create_superuser("ada")
    approval = planned_rows.read_approval(planned_rows.asked_run(ada))
    refused = scenario("approval", "approve", approval.pk)
    assert (refused.code, "'--as USER' with one of ada." in refused.err) == (2, True), refused.err
    refused = scenario("approval", "approve", approval.pk, "--as", "ada")
    assert (refused.code, "a second person must approve it" in refused.err) == (8, True)
    User.objects.create_superuser("bob")
    refused = scenario("approval", "refuse", approval.pk, "--as", "bob", "--reason", " ")
    assert (refused.code, "needs a reason" in refused.err) == (2, True)
    done = scenario("approval", "approve", approval.pk, "--as", "bob", "--reason", "closed")
    assert (done.code, done.out) == (0, f"Approval {approval.pk} is approved.\n")
    decided = Approval.objects.get()
    assert (decided.state, decided.decided_by_name, decided.reason) == (
        ApprovalState.APPROVED,
        "bob",
        "closed",
    )
    again = scenario("approval", "refuse", approval.pk, "--as", "bob", "--reason", "late")
    assert (again.code, "already decided" in again.err) == (2, True)
    assert f"{approval.pk} as bob" in AuditEntry.objects.filter(action="approve").values_list(
        "target", flat=True
    )


@pytest.mark.parametrize("way", ["remote"], indirect=True)
def test_over_the_api_the_token_says_who_it_is(either: CommandLine) -> None:
    for words in (SET, ("approval", "approve", 1)):
        refused = either(*words, "--as", "bob")
        assert (refused.code, "the token says who you are" in refused.err) == (2, True), refused.err


def test_repeated_command_with_one_key_starts_one_run(either: CommandLine) -> None:
    words = ("run", "break-exchange", "--detach", "--idempotency-key", "job-5")
    first = either(*words)
    assert (first.code, either(*words).out) == (0, first.out), first.err
    other = either(*words, "--var", "delay=6")
    assert (other.code, "'job-5' was used with another request" in other.err) == (2, True), other.err
    assert either("run", "break-exchange", "--detach").out != first.out
    assert Run.objects.count() == 2
