"""What is done with several selected rows at once: it is asked for first, and says what it leaves out."""

from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from scenarios.admin import scenario_actions
from scenarios.admin.deletion import MAX_SELECTED
from scenarios.domain.outcomes import Outcome, Rollback, RunState
from scenarios.library import services as registered_services
from scenarios.models import AuditEntry, Environment, Event, Fault, Run, Scenario, Service
from scenarios.runs import commands as run_commands
from scenarios.runs import global_stop
from tests.integration.scenarios.planned_rows import DOCUMENT, exchange, someone, stored
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db

NEEDY = DOCUMENT.replace("break-exchange", "needy").replace("default: 5, ", "")


def store(name: str, **metadata: str) -> Scenario:
    words = "".join(f", {word}: {value}" for word, value in metadata.items())
    return stored(DOCUMENT.replace("{name: break-exchange}", f"{{name: {name}{words}}}"))


def choose(client: Client, action: str, *rows: Model, model: str = "scenario", **fields: Any) -> Any:
    address = reverse(f"admin:scenarios_{model}_changelist")
    chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows], **fields}
    return client.post(address, chosen, follow=True)


def confirm(client: Client, action: str, page: Any, **fields: Any) -> Any:
    """As the form of the page that asked does."""
    return choose(
        client, action, *page.context["selected"], post="yes", seen=page.context.get("seen", ""), **fields
    )


def list_actions() -> list[str]:
    return [entry.action for entry in AuditEntry.objects.exclude(entrance="login").order_by("pk")]


# Running


def test_selected_scenarios_are_run_once_their_plans_are_confirmed(admin_client: Client) -> None:
    exchange()
    rows = [store("first"), store("second", title="Slow")]
    page = choose(admin_client, "run_selected", *rows)
    content = page.content.decode()
    assert content.count("<svg") >= 2
    for words in ("first", "Slow", "<strong>exchange</strong>", "Start 2 runs"):
        assert words in content
    assert not Run.objects.exists()
    done = confirm(admin_client, "run_selected", page)
    assert "Started 2 runs" in done.content.decode()
    runs = Run.objects.order_by("scenario_name")
    assert [(run.scenario_name, run.started_from, str(run.started_by)) for run in runs] == [
        ("first", "admin", "admin"),
        ("second", "admin", "admin"),
    ]


def test_a_scenario_that_needs_variables_is_left_out_with_the_reason(admin_client: Client) -> None:
    page = choose(admin_client, "run_selected", store("first"), stored(NEEDY))
    assert "Not started from here" in page.content.decode()
    assert "run it by itself" in page.content.decode()
    confirm(admin_client, "run_selected", page)
    assert [run.scenario_name for run in Run.objects.all()] == ["first"]


def test_the_page_shows_approvals_and_the_global_stop(admin_client: Client) -> None:
    exchange(is_protected=True)
    global_stop.pull_global_stop(by="berta", reason="an incident")
    page = choose(admin_client, "run_selected", store("first"))
    assert "it needs the approval of a second person" in page.content.decode()
    assert "No run begins until the global stop, pulled by berta" in page.content.decode()
    confirm(admin_client, "run_selected", page)
    run = Run.objects.get()
    assert run.state == RunState.AWAITING_APPROVAL
    assert run.approval.services == ["exchange"]


@pytest.mark.parametrize("change", ["another document", "deleted"])
def test_nothing_is_started_if_a_scenario_has_changed_since_its_plan_was_shown(
    admin_client: Client, change: str
) -> None:
    first, second = store("first"), store("second")
    page = choose(admin_client, "run_selected", first, second)
    if change == "deleted":
        first.delete()
    else:
        store("first", title="Changed")
    again = confirm(admin_client, "run_selected", page)
    assert "has changed or is gone" in again.content.decode()
    assert not Run.objects.exists()
    confirm(admin_client, "run_selected", again)
    assert Run.objects.count() == (1 if change == "deleted" else 2)


def test_selected_scenarios_run_in_an_environment_once_their_plans_there_are_shown(
    admin_client: Client,
) -> None:
    exchange()
    Environment.objects.create(name="staging", services={"exchange": {"base_url": "http://127.0.0.1:1"}})
    Environment.objects.create(name="empty")
    page = choose(admin_client, "run_selected", store("first"), store("second"))
    early = confirm(admin_client, "run_selected", page, environment="staging")
    assert "another environment is chosen" in early.content.decode()
    assert not Run.objects.exists()
    recorded = list_actions()
    without = confirm(admin_client, "run_selected", page, environment="empty", show="yes")
    assert without.context["ready"] == []
    assert [candidate.scenario.name for candidate in without.context["refused"]] == ["first", "second"]
    shown = confirm(admin_client, "run_selected", without, environment="staging", show="yes")
    assert list_actions() == recorded
    confirm(admin_client, "run_selected", shown, environment="staging")
    assert {run.environment for run in Run.objects.all()} == {"staging"}
    assert Run.objects.count() == 2


def test_an_environment_that_is_gone_starts_nothing(admin_client: Client) -> None:
    exchange()
    Environment.objects.create(name="staging", services={"exchange": {"base_url": "http://127.0.0.1:1"}})
    page = choose(admin_client, "run_selected", store("first"))
    answer = confirm(admin_client, "run_selected", page, environment="gone\0")
    assert answer.context["form"].errors
    assert not Run.objects.exists()


def test_running_needs_its_permission(client: Client) -> None:
    client.force_login(someone("vera", "view_scenario", "view_run", "change_scenario"))
    row = store("first")
    page = client.get(reverse("admin:scenarios_scenario_changelist"))
    assert "run_selected" not in page.content.decode()
    assert "No action selected" in choose(client, "run_selected", row, post="yes").content.decode()
    assert not Run.objects.exists()


def test_too_many_are_refused_however_they_were_selected(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenario_actions, "MAX_RUN_AT_ONCE", 2)
    rows = [store(f"number-{number}") for number in range(3)]
    content = choose(admin_client, "run_selected", rows[0], select_across="1", post="yes").content.decode()
    assert "3 scenarios are selected; at most 2 can be changed at once" in content
    assert not Run.objects.exists()


# Tags


def test_a_tag_is_added_to_and_removed_from_the_selected_scenarios(
    admin_client: Client, admin_user: User
) -> None:
    tagged, untagged = store("first", tags="[nightly]"), store("second")
    page = choose(admin_client, "add_tag", tagged, untagged)
    assert "Tags that some of them have: nightly" in page.content.decode()
    done = confirm(admin_client, "add_tag", page, tag="nightly")
    assert "Changed 1 scenario; the others had nothing to change." in done.content.decode()
    untagged.refresh_from_db()
    assert (untagged.tags, untagged.changed_by) == (["nightly"], admin_user)
    assert "{name: second, tags: [nightly]}" in untagged.document
    assert untagged.history.first().history_user == admin_user
    confirm(admin_client, "remove_tag", choose(admin_client, "remove_tag", tagged, untagged), tag="nightly")
    assert [row.tags for row in Scenario.objects.all()] == [[], []]


@pytest.mark.parametrize("tag", ["", " ", "x" * 201, "a\0b", "line\nbreak", "\u202ehidden"])
def test_a_tag_that_the_language_refuses_changes_nothing(admin_client: Client, tag: str) -> None:
    row = store("first")
    content = choose(admin_client, "add_tag", row, post="yes", tag=tag).content.decode()
    assert "errorlist" in content or "would not be valid" in content
    row.refresh_from_db()
    assert (row.tags, row.history.count()) == ([], 1)


@pytest.mark.parametrize("tag", ["<script>alert(1)</script>", 'a "quote"', "true", "1", "ä: # b"])
def test_hostile_tags_are_only_text(admin_client: Client, tag: str) -> None:
    row = store("first")
    choose(admin_client, "add_tag", row, post="yes", tag=tag)
    row.refresh_from_db()
    assert row.tags == [tag]
    address = reverse("admin:scenarios_scenario_changelist")
    content = admin_client.get(address, {"tag": tag}).content.decode()
    assert "first" in content
    assert "<script>alert" not in content


def test_a_document_that_is_no_longer_valid_keeps_its_tags_and_the_others_change(
    admin_client: Client,
) -> None:
    broken, sound = store("first"), store("second")
    Scenario.objects.filter(pk=broken.pk).update(document=broken.document.replace("http:", "no-driver:"))
    content = choose(admin_client, "add_tag", broken, sound, post="yes", tag="nightly").content.decode()
    assert "&#x27;first&#x27; is unchanged" in content
    assert [row.tags for row in Scenario.objects.order_by("name")] == [[], ["nightly"]]


# Deleting


def test_held_rows_are_listed_and_the_others_deleted(admin_client: Client) -> None:
    registered_services.register_service("free", "http://127.0.0.1:2")
    exchange()
    telling = Telling()
    telling.begin()
    page = choose(admin_client, "delete_selected", *Service.objects.all(), model="service")
    content = page.content.decode()
    assert "These cannot be deleted now" in content
    assert f"it is held by {telling.run}" in content
    choose(admin_client, "delete_selected", *page.context["queryset"], model="service", post="yes")
    assert [row.name for row in Service.objects.all()] == ["exchange"]


def test_a_scenario_whose_run_goes_on_is_not_offered(admin_client: Client) -> None:
    row = store("first")
    run = run_commands.start_run(row.document, {}, origin="admin", scenario=row)
    content = choose(admin_client, "delete_selected", row).content.decode()
    assert f"Nothing was deleted. first: its run {run.short_id} is queued." in content
    assert Scenario.objects.exists()


def test_ended_runs_are_deleted_with_their_events_and_faults(admin_client: Client) -> None:
    telling = Telling()
    telling.begin()
    run = telling.finish()
    page = choose(admin_client, "delete_selected", run, model="run")
    assert "Runs, with their events, faults and charts: 1" in " ".join(page.content.decode().split())
    content = choose(admin_client, "delete_selected", run, model="run", post="yes").content.decode()
    assert "Successfully deleted 1 run" in content
    assert (Run.objects.count(), Event.objects.count(), Fault.objects.count()) == (0, 0, 0)
    assert list_actions() == ["run: delete selected"]


@pytest.mark.parametrize("way", ["asked", "confirmed", "by its own page"])
@pytest.mark.parametrize("state", ["running", "with a fault"])
def test_runs_that_are_needed_stay_with_the_reason(admin_client: Client, state: str, way: str) -> None:
    telling = Telling()
    telling.begin()
    if state == "with a fault":
        telling.finish(Rollback.DIRTY)
    run = Run.objects.get()
    if way == "by its own page":
        address = reverse("admin:scenarios_run_delete", args=[run.pk])
        content = admin_client.post(address, {"post": "yes"}, follow=True).content.decode()
    else:
        fields = {"post": "yes"} if way == "confirmed" else {}
        content = choose(admin_client, "delete_selected", run, model="run", **fields).content.decode()
    assert "Nothing was deleted." in content
    assert ("it is running" if state == "running" else "is not undone") in content
    assert Run.objects.exists()


def test_deleting_runs_is_a_permission_of_its_own(client: Client) -> None:
    run = Telling().finish()
    client.force_login(someone("rita", "view_run", "stop_run", "run_scenario"))
    choose(client, "delete_selected", run, model="run", post="yes")
    assert (
        client.post(reverse("admin:scenarios_run_delete", args=[run.pk]), {"post": "yes"}).status_code == 403
    )
    assert Run.objects.filter(pk=run.pk).exists()


def test_number_of_runs_deleted_at_once_is_limited(admin_client: Client) -> None:
    Run.objects.bulk_create(
        Run(
            scenario_name="old",
            document="",
            state=RunState.FINISHED,
            outcome=Outcome.PASSED,
            rollback=Rollback.CLEAN,
            started_from="api",
            finished_at="2026-01-01T00:00:00Z",
        )
        for _ in range(MAX_SELECTED + 1)
    )
    run = Run.objects.first()
    assert run is not None
    content = choose(
        admin_client, "delete_selected", run, model="run", select_across="1", post="yes"
    ).content.decode()
    assert f"{MAX_SELECTED + 1} runs are selected; at most {MAX_SELECTED} can be changed at once" in content
    assert Run.objects.count() == MAX_SELECTED + 1


# Comparing


def test_two_selected_runs_are_compared_the_newer_first(admin_client: Client) -> None:
    row = store("first")
    older, newer = (run_commands.start_run(row.document, {}, origin="api", scenario=row) for _ in range(2))
    answer = choose(admin_client, "compare_selected", older, newer, model="run")
    address = reverse("admin:scenarios_run_compare", args=[newer.pk])
    assert answer.redirect_chain == [(f"{address}?with={older.pk}", 302)]
    assert list_actions() == []


def test_other_selections_cannot_be_compared(admin_client: Client) -> None:
    row, other = store("first"), store("second")
    run, another = (
        run_commands.start_run(one.document, {}, origin="api", scenario=one) for one in (row, other)
    )
    exactly = "Select exactly two runs to compare."
    assert exactly in choose(admin_client, "compare_selected", run, model="run").content.decode()
    different = choose(admin_client, "compare_selected", run, another, model="run").content.decode()
    assert "Only two runs of the same stored scenario" in different


# Hostile forms


@pytest.mark.parametrize("key", ["abc", "1; drop", "\0", str(UUID(int=7))])
@pytest.mark.parametrize("model", ["run", "scenario"])
def test_keys_that_are_none_are_refused_or_select_nothing(admin_client: Client, model: str, key: str) -> None:
    address = reverse(f"admin:scenarios_{model}_changelist")
    fields = {"action": "delete_selected", "_selected_action": key, "post": "yes"}
    assert admin_client.post(address, fields).status_code in {302, 400}


def test_asking_is_not_recorded_as_done(admin_client: Client) -> None:
    row = store("first")
    choose(admin_client, "add_tag", row)
    choose(admin_client, "run_selected", row)
    choose(admin_client, "delete_selected", row)
    assert list_actions() == []
    choose(admin_client, "add_tag", row, post="yes", tag="nightly")
    assert list_actions() == ["scenario: add tag"]
