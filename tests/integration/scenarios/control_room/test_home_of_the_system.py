"""Home says what is broken now: processes, targets, faults; and what suites and runs have shown."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.domain.outcomes import Rollback
from scenarios.models import Fault, Heartbeat, Hold, Host, Run, Service
from scenarios.runs.component_heartbeats import record_heartbeat
from scenarios.supervision import readiness
from tests.integration.scenarios.planned_rows import someone
from tests.integration.scenarios.runs.test_regressions import carry_out, store_earlier_runs
from tests.integration.scenarios.story_rows import Telling
from tests.integration.scenarios.suites.suite_rows import register_services, store_suite
from tests.servers.fault_proxy import TOKEN, running_fault_proxy

pytestmark = pytest.mark.django_db

NOBODY = "Nothing retries the undo: no watchdog has been seen"
GOES_ON = "The watchdog keeps trying."
NOW, TARGETS = "/admin/now/", "/admin/targets/"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat lasts until the test has ended, however busy the machine is."""
    for name in ("WATCHDOG_SILENT_AFTER", "WORKER_SILENT_AFTER"):
        monkeypatch.setattr(readiness, name, timedelta(minutes=20))


def leave_fault() -> Fault:
    telling = Telling()
    telling.begin()
    telling.finish(Rollback.DIRTY)
    return Fault.objects.get()


def read(client: Client, address: str) -> str:
    return re.sub(r"\s+", " ", client.get(address).content.decode())


def test_nobody_is_said_to_go_on_trying_while_no_watchdog_lives(admin_client: Client) -> None:
    fault = leave_fault()
    page = reverse("admin:scenarios_fault_change", args=[fault.pk])
    for address in ("/admin/", page):
        assert NOBODY in read(admin_client, address)
    tried = admin_client.post(reverse("admin:scenarios_fault_retry", args=[fault.pk]), follow=True)
    assert "will be retried as soon as a watchdog works" in tried.content.decode()
    record_heartbeat("watchdog", "here:1")
    for address in ("/admin/", page):
        content = read(admin_client, address)
        assert GOES_ON in content
        assert "Nothing retries" not in content


def test_watchdog_that_was_seen_in_the_future_does_not_count_as_alive(admin_client: Client) -> None:
    record_heartbeat("watchdog", "here:1")
    Heartbeat.objects.update(seen_at=timezone.now() + timedelta(hours=1))  # the clock was set back
    assert "no watchdog has been seen" in read(admin_client, "/admin/")


def test_home_shows_when_the_last_watchdog_ends_and_when_one_begins(admin_client: Client) -> None:
    record_heartbeat("watchdog", "here:1")
    alive = admin_client.get("/admin/")
    assert "retries undos, starts schedules and sends messages" not in alive.content.decode()  # no worker yet
    mark = alive.context["mark"]
    Heartbeat.objects.all().delete()
    assert "no watchdog has been seen" in admin_client.get(NOW, {"after": mark}).content.decode()
    record_heartbeat("watchdog", "here:1")
    assert admin_client.get(NOW, {"after": mark}).status_code == 204


def test_processes_that_work_are_said_to_be_well(admin_client: Client, settings: Settings) -> None:
    settings.MAX_CONCURRENT_RUNS = 7
    record_heartbeat("watchdog", "here:1")
    record_heartbeat("worker", "here:2")
    content = read(admin_client, "/admin/")
    assert "no runs now, at most 7" in content
    assert "retries undos, starts schedules and sends messages" in content


def test_fault_that_was_left_behind_says_since_when_and_whether_it_ends_by_itself(
    admin_client: Client,
) -> None:
    fault = leave_fault()
    content = read(admin_client, "/admin/")
    assert "not by itself" in content
    assert f'data-since="{fault.opened_at:%Y-%m-%dT%H:%M:%S}' in content
    Fault.objects.update(lease_seconds=60)
    assert "by itself at <time" in read(admin_client, "/admin/")


def test_button_of_home_leads_back_to_home(admin_client: Client) -> None:
    fault = leave_fault()
    content = read(admin_client, "/admin/")
    assert 'aria-label="Try again to undo slow the exchange down"' in content
    address = reverse("admin:scenarios_fault_retry", args=[fault.pk])
    answer = admin_client.post(address, {"back_to_home": "yes"})
    assert answer.headers["Location"] == "/admin/"
    elsewhere = admin_client.post(address, {"back_to_home": "https://example.com/"})
    assert elsewhere.headers["Location"] == "/admin/"
    acknowledge = reverse("admin:scenarios_fault_acknowledge", args=[fault.pk])
    assert f'href="{acknowledge}?back_to_home=yes"' in content
    form = read(admin_client, f"{acknowledge}?back_to_home=yes")
    assert '<input type="hidden" name="back_to_home" value="yes">' in form
    done = admin_client.post(acknowledge, {"back_to_home": "yes", "reason": "restarted by hand"})
    assert done.headers["Location"] == "/admin/"


def test_page_of_a_fault_is_loaded_again_when_it_was_tried_or_is_closed(admin_client: Client) -> None:
    fault = leave_fault()
    page = reverse("admin:scenarios_fault_change", args=[fault.pk])
    found = re.search(r'hx-get="([^"]+/changed/[^"]+)"', read(admin_client, page))
    assert found is not None
    assert admin_client.get(found[1]).status_code == 204
    Fault.objects.update(undo_tries=2)
    assert admin_client.get(found[1]).headers["HX-Refresh"] == "true"
    Fault.objects.update(state="undone", undo_tries=1)
    assert admin_client.get(found[1]).headers["HX-Refresh"] == "true"
    assert "/changed/" not in read(admin_client, page)


def test_without_a_watchdog_home_says_that_only_runs_that_go_on_retry_their_undos(
    admin_client: Client,
) -> None:
    leave_fault()
    Hold.objects.all().delete()
    Telling().begin()
    Fault.objects.filter(state="active").update(state="outstanding", undo_tries=1)
    content = read(admin_client, "/admin/")
    assert "Only runs that go on retry their undos; nothing retries the others: no watchdog" in content


def test_outstanding_fault_of_a_run_that_goes_on_is_stopped_with_its_run(admin_client: Client) -> None:
    telling = Telling()
    telling.begin()
    Fault.objects.update(state="outstanding", undo_tries=1)
    content = read(admin_client, "/admin/")
    assert "Its run retries the undo, but nothing will after the run" in content
    assert f'action="{reverse("admin:scenarios_run_stop", args=[telling.run.pk])}"' in content
    assert "Acknowledge…" not in content
    Run.objects.update(lease_until=timezone.now() - timedelta(seconds=1))  # its worker has died
    content = read(admin_client, "/admin/")
    assert NOBODY in content
    assert "being retried" not in content


def test_run_that_has_lost_its_worker_is_an_alarm_where_no_watchdog_ends_it(admin_client: Client) -> None:
    telling = Telling()
    telling.begin()
    mark = admin_client.get("/admin/").context["mark"]
    Run.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    content = read(admin_client, NOW + f"?after={mark}")
    assert "its worker is gone, and no watchdog ends it" in content
    assert '<section class="card alarm" aria-labelledby="injected-title">' in content
    assert "its run has lost its worker; without the run it stays, because no watchdog is running" in content
    record_heartbeat("watchdog", "here:1")
    content = read(admin_client, "/admin/")
    assert "<strong>its worker is gone</strong>" in content
    assert "stays until the watchdog undoes it" in content


def test_last_verdicts_say_what_was_unusual(admin_client: Client) -> None:
    store_earlier_runs(1.0, 1.0, 1.1, 1.0, 0.9)
    mark = admin_client.get("/admin/").context["mark"]
    run = carry_out(4.0)
    content = read(admin_client, NOW + f"?after={mark}")
    assert "time to recover 4s, usually 1s" in content
    assert reverse("admin:scenarios_run_compare", args=[run.pk]) in content
    assert content.count("Unusual:") == 1  # not the earlier ones


def test_run_is_not_compared_with_runs_that_ended_later(admin_client: Client) -> None:
    first = carry_out(4.0)
    store_earlier_runs(1.0, 1.0, 1.1, 1.0, 0.9)
    Run.objects.filter(pk=first.pk).update(finished_at=timezone.now() - timedelta(days=1))
    assert "Unusual:" not in read(admin_client, "/admin/")


def test_home_shows_matrices_of_suites_with_links_to_their_runs(admin_client: Client) -> None:
    register_services()
    suite = store_suite()
    run = Telling().run
    cell = suite.cells.first()
    assert cell is not None
    cell.state, cell.run, cell.reason = "failed", run, "it was <slow>"
    cell.fresh_until = timezone.now() + timedelta(days=1)
    cell.save()
    content = read(admin_client, "/admin/")
    assert reverse("admin:scenarios_suite_change", args=[suite.pk]) in content
    link = re.search(rf'<a class="verdict failed" href="([^"]+)" aria-label="{cell.dependency}, ', content)
    assert link is not None
    assert link[1] == reverse("admin:scenarios_run_change", args=[run.pk])
    assert "it was &lt;slow&gt;" in content


def test_introduction_is_shown_until_the_first_run_however_long_ago_it_was(admin_client: Client) -> None:
    assert "Read the guide" in read(admin_client, "/admin/")
    run = Telling().finish()
    Run.objects.filter(pk=run.pk).update(queued_at=timezone.now() - timedelta(days=80))
    assert "Read the guide" not in read(admin_client, "/admin/")


def test_targets_say_how_they_answer_now(
    admin_client: Client, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TARGETS not in read(admin_client, "/admin/")
    monkeypatch.setenv("SCENARIO_SECRET_FAULT_PROXY_TOKEN", TOKEN)
    host = Host.objects.create(name="shop-1", address="chaos@127.0.0.1:9")
    Host.objects.create(name="here")
    with running_fault_proxy("127.0.0.1:9") as proxy:
        for name in ("shop", "stock"):
            Service.objects.create(name=name, base_url="http://127.0.0.1:9", proxy=proxy.control)
        assert f'hx-get="{TARGETS}"' in read(admin_client, "/admin/")
        content = read(admin_client, TARGETS)
        assert content.count(f"answers at {proxy.control}, has no fault") == 2
        assert "127.0.0.1:9 refused the connection" in content
        assert reverse("admin:scenarios_host_change", args=[host.pk]) in content
        client.force_login(someone("eve", "view_host"))
        assert "Fault proxy" not in read(client, TARGETS)
    assert content.count("not working") == 1
    assert read(admin_client, TARGETS).count("not working") == 3
    client.force_login(someone("fay", "view_run"))
    assert client.get(TARGETS).status_code == 403
