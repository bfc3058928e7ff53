"""What lists select, the status of one run, and versions: on this machine, and over the API."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from coordinator_client.command_line.coordinator import FaultFilter
from coordinator_client.command_line.feeds import FeedFilter
from coordinator_client.errors import CoordinatorError
from scenarios.command_line.local import LocalCoordinator
from scenarios.command_line.local_completion import build_parser, list_names
from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services
from scenarios.models import Event, Run, Schedule, Service, Webhook
from scenarios.notifications import webhooks
from scenarios.runs import commands as run_commands
from tests.command_line import CommandLine
from tests.integration.scenarios.story_rows import DOCUMENT, Telling
from tests.integration.scenarios.suites import suite_rows
from tests.integration.scenarios.suites.ended_runs import end_run

pytestmark = pytest.mark.django_db
NAME = "exchange-latency"


def left_dirty() -> Run:
    telling = Telling()
    telling.begin()
    telling.finish(Rollback.DIRTY)
    return Run.objects.get(pk=telling.run.pk)


def list_ids(said: CommandLine, *words: str) -> list[str]:
    return [item["id"] for item in said("runs", *words, "--json").json["items"]]


def ended_clean() -> Run:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    end_run(run, Outcome.FAILED)
    return run


def test_runs_are_selected_by_end_time_and_user(either: CommandLine) -> None:
    dirty, old = left_dirty(), ended_clean()
    ann = User.objects.create_user("ann")
    Run.objects.filter(pk=old.pk).update(
        queued_at=timezone.now() - timedelta(days=3), started_by=ann, environment="staging"
    )
    assert list_ids(either) == [str(dirty.pk), str(old.pk)]
    assert list_ids(either, "--rollback", "dirty") == [str(dirty.pk)]
    assert list_ids(either, "--rollback", "unverified") == []
    assert list_ids(either, "--since", "2d") == [str(dirty.pk)]
    assert list_ids(either, "--until", "2d") == [str(old.pk)]
    assert list_ids(either, "--by", "ann") == [str(old.pk)]
    assert list_ids(either, "--by", "ann", "--status", "finished") == [str(old.pk)]
    either_status = ("--status", "failed", "--status", "passed", "--status", "running")
    assert sorted(list_ids(either, *either_status)) == sorted([str(dirty.pk), str(old.pk)])
    assert list_ids(either, *either_status, "--limit", "1") == [str(dirty.pk)]
    assert list_ids(either, "--environment", "staging") == [str(old.pk)]
    assert list_ids(either, "--environment", "production") == []
    assert list_ids(either, "--scenario", NAME, "--rollback", "dirty") == [str(dirty.pk)]


def test_scenarios_are_selected_by_tag(either: CommandLine) -> None:
    for name, tags in ((NAME, "[demo, slow]"), ("other", "[demo]")):
        text = DOCUMENT.replace(NAME, name, 1).replace("[exchange, latency]", tags, 1)
        stored_scenarios.save_scenario(documents.read_document(text))
    assert [item["name"] for item in either("list", "--tag", "slow", "--json").json["items"]] == [NAME]
    both = either("list", "--tag", "demo", "--tag", "slow", "--limit", "1", "--json").json["items"]
    assert [item["name"] for item in both] == [NAME]
    assert either("list", "--tag", "slo").err == "No scenario has the tag 'slo'.\n"
    nothing = either("list", "--tag", "slow", "--tag", "other")
    assert (nothing.out, nothing.err) == ("", "No scenario has the tags 'slow' and 'other'.\n")


def test_faults_are_selected_by_run_and_service(either: CommandLine) -> None:
    first, second = left_dirty(), ended_clean()
    for words, runs in (
        ((), [str(second.pk), str(first.pk)]),
        (("--run", first.short_id), [str(first.pk)]),
        (("--run", str(second.pk), "--outstanding"), []),
        (("--service", "exchange"), [str(first.pk)]),
        (("--service", "elsewhere"), []),
    ):
        assert [fault["run"] for fault in either("faults", *words, "--json").json["items"]] == runs
    assert either("faults", "--service", "elsewhere").err == "No fault matches.\n"


def test_status_shows_the_faults_of_a_run_that_goes_on(either: CommandLine) -> None:
    telling = Telling()
    telling.begin()
    said = either("status", "latest")
    assert (said.code, said.out.splitlines()[-1].startswith("Fault ")) == (0, True), said.out
    (fault,) = either("status", "latest", "--json").json["faults"]
    assert (fault["state"], fault["outstanding"]) == ("active", False)


def test_status_shows_a_run_and_what_it_has_left(either: CommandLine) -> None:
    run = left_dirty()
    said = either("status", run.short_id)
    assert said.code == 0
    assert said.out.splitlines()[0].startswith(f"{NAME}, run {run.pk}: ")
    assert said.out.splitlines()[-1].startswith("Fault ")
    assert either("status", str(run.pk), "--json").json["id"] == str(run.pk)
    missing = either("status", "0000")
    assert (missing.code, "There is no run" in missing.err) == (7, True)


def test_api_is_asked_of_another_coordinator_only(either: CommandLine, way: str) -> None:
    left_dirty(), ended_clean()
    done = either("api", "runs?limit=1", "--paginate")
    if way == "local":
        assert (done.code, "give '--server URL' or '--profile NAME'" in done.err) == (2, True)
    else:
        assert (done.code, len(done.json["items"])) == (0, 2)
        assert "unknown filter 'x'" in either("api", "runs?x=1").err


def test_version_is_that_of_the_coordinator(either: CommandLine) -> None:
    assert either("version", "--json").json["coordinator"] == settings.SERVICE_VERSION


def test_service_is_changed_without_its_address_and_deleted(either: CommandLine) -> None:
    services.register_service("shop", "http://127.0.0.1:9101")
    assert either("service", "add", "shop", "--replace", "--protected").code == 0
    shop = Service.objects.get()
    assert (shop.base_url, shop.is_protected) == ("http://127.0.0.1:9101", True)
    services.register_service("exchange", "http://127.0.0.1:9100")
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    assert either("service", "delete", "shop").err == ""
    removed = either("service", "delete", "exchange")
    assert removed.code == 0
    warning = f"Runs of scenario '{NAME}' cannot start until 'exchange' is registered again."
    assert warning in removed.err
    missing = either("service", "add", "shop", "--replace", "--protected")
    assert (missing.code, "There is no service 'shop'" in missing.err) == (7, True)


def test_webhook_is_shown_with_what_was_sent_last(either: CommandLine) -> None:
    webhook = Webhook.objects.create(
        name="chat", url="https://hooks.example.com/runs", events=["run.finished"]
    )
    webhooks.send_test(webhook)
    said = either("webhook", "show", "chat")
    assert (said.code, "chat, https://hooks.example.com/runs: enabled" in said.out) == (0, True), said.err
    assert "webhook.test: pending, no try" in said.out
    assert either("webhook", "show", "chat", "--json").json["last_deliveries"][0]["state"] == "pending"


def test_schedule_of_a_suite_is_set_by_a_user_and_listed(either: CommandLine, way: str) -> None:
    suite_rows.register_services()
    suite_rows.save_catalogue(suite_rows.SLOW, suite_rows.REFUSED)
    suite_rows.store_suite(suite_rows.TWO_CELLS)
    when = ("--cron", "0 3 * * SUN", "--window", "02:00-05:00", "--priority", "5")
    done = either("schedule", "set", "weekly", "--suite", "shop", *when)
    if way == "local":
        assert (done.code, "in the name of a user" in done.err) == (2, True)
        Schedule.objects.create(name="weekly", suite_name="shop", cron="0 3 * * SUN")
    else:
        assert done.code == 0, done.err
        row = Schedule.objects.get()
        assert (row.suite_name, row.scenario_name, row.priority) == ("shop", "", 5)
        assert (str(row.window_from), str(row.window_to)) == ("02:00:00", "05:00:00")
        wrong = either("schedule", "set", "weekly", "--suite", "shopp", "--cron", "0 3 * * SUN")
        assert (wrong.code, "there is no suite 'shopp'" in wrong.err) == (2, True)
    assert "suite shop" in either("schedule", "list").out
    shown = either("schedule", "show", "weekly").out
    assert ("runs suite shop:" in shown, shown.count("UTC"), shown.count("Next (UTC)")) == (True, 2, 1)
    assert either("schedule", "show", "weekly", "--json").json["suite"] == "shop"


def test_events_of_all_runs_are_followed_on_this_machine() -> None:
    run = left_dirty()
    positions = list(Event.objects.order_by("pk").values_list("pk", flat=True))
    local = LocalCoordinator()
    found = local.watch_events(FeedFilter(), "0")
    read = [next(found) for _ in positions]
    assert [event.position for event in read if event] == [str(key) for key in positions]
    assert next(found) is None
    (ended,) = (event for event in read if event and event.kind == "run_finished")
    assert (ended.run, ended.scenario) == (str(run.pk), NAME)
    behind = local.watch_events(FeedFilter(kinds=("run_finished",)), str(positions[0]))
    assert next(behind) == ended
    with pytest.raises(CoordinatorError, match="unknown kind 'x'"):
        next(local.watch_events(FeedFilter(kinds=("x",)), ""))
    assert next(local.watch_events(FeedFilter(), "")) is None


def test_shell_completes_stored_names_and_commands() -> None:
    left_dirty()
    assert list_names("scenarios") == [NAME]
    assert list_names("suites") == []
    parser = build_parser()
    assert parser.parse_args(["scenario", "schedule", "pause", "nightly"]).schedule == "nightly"
    assert LocalCoordinator().list_faults(FaultFilter(service="elsewhere")) == []
