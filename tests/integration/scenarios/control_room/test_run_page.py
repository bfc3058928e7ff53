"""The run page tells what happened, sends only what changed, and stays quick however long the run."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from scenarios.control_room import run_page
from scenarios.domain.outcomes import Rollback
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.models import Heartbeat, Run
from scenarios.runs import commands as run_commands
from scenarios.runs import global_stop
from scenarios.runs.history import read_history
from tests.integration.scenarios.control_room.run_pages import address, next_poll, page
from tests.integration.scenarios.stopwatch import quickest
from tests.integration.scenarios.story_rows import DOCUMENT, NOTICED, SLOWED, Telling

pytestmark = pytest.mark.django_db


@pytest.fixture
def telling() -> Telling:
    return Telling()


# `benchmarks/control_room.py` holds the goals in milliseconds. Here: a long run is as quick as a short one.
TIMES_AS_LONG = 3


def test_the_page_shows_verdict_fault_and_validation_of_an_ended_run(
    admin_client: Client, telling: Telling
) -> None:
    telling.begin()
    content = page(admin_client, telling.finish())
    for words in ("every validation held", 'class="fault"', "after 800ms", SLOWED, NOTICED, "Time to detect"):
        assert words in content


def test_polling_ends_with_the_run(admin_client: Client, telling: Telling) -> None:
    telling.begin()
    poll = next_poll(page(admin_client, telling.run))
    assert poll
    telling.finish()
    answer = admin_client.get(poll)
    assert next_poll(answer.content.decode()) == ""
    assert 'id="poll"' in answer.content.decode()


def test_a_poll_sends_what_changed_and_nothing_that_did_not(admin_client: Client, telling: Telling) -> None:
    telling.begin()
    poll = next_poll(page(admin_client, telling.run))
    assert admin_client.get(poll).status_code == 204
    telling.tell("validation_started", "orders are still accepted")
    content = admin_client.get(poll).content.decode()
    assert "orders are still accepted" in content
    assert 'hx-swap-oob="beforeend:#steps"' in content
    assert 'id="faults"' not in content
    assert f'class="what">{SLOWED}' not in content
    assert admin_client.get(next_poll(content)).status_code == 204


def test_a_step_that_goes_on_is_replaced_and_not_repeated(admin_client: Client, telling: Telling) -> None:
    telling.tell("validation_started", NOTICED)
    poll = next_poll(page(admin_client, telling.run))
    telling.tell("validation_failed", NOTICED, reason="not within 5s")
    content = admin_client.get(poll).content.decode()
    assert '<summary id="step-1" hx-swap-oob="true">' in content
    assert "beforeend:#steps" not in content


def test_a_request_to_stop_is_a_change(admin_client: Client, telling: Telling) -> None:
    telling.begin()
    poll = next_poll(page(admin_client, telling.run))
    admin_client.post(address("stop", telling.run))
    assert "stopping, requested by admin" in admin_client.get(poll).content.decode()


def test_a_step_opens_with_what_it_was_given_and_what_it_returned(
    admin_client: Client, telling: Telling
) -> None:
    telling.begin()
    answer = admin_client.get(address("step", telling.run), {"phase": "chaos", "name": NOTICED})
    content = answer.content.decode()
    assert "path: /alerts" in content
    assert "status: 200" in content


def test_run_again_starts_the_same_document_with_the_same_variables(
    admin_client: Client, telling: Telling
) -> None:
    run = telling.finish()
    assert admin_client.get(address("again", run)).status_code == 403
    admin_client.post(address("again", run))
    again = Run.objects.exclude(pk=run.pk).get()
    assert (again.document, again.variables, again.started_from) == (run.document, run.variables, "admin")


def test_a_viewer_sees_and_can_neither_stop_nor_run_again(client: Client, telling: Telling) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    client.force_login(viewer)
    assert client.get(address("change", telling.run)).status_code == 403
    assert client.get(address("live", telling.run)).status_code == 403
    viewer.user_permissions.add(Permission.objects.get(codename="view_run"))
    content = page(client, telling.run)
    assert "Stop</button>" not in content
    for name in ("stop", "again"):
        assert client.post(address(name, telling.run)).status_code == 403


def test_page_reloads_after_the_browser_missed_too_many_events(
    admin_client: Client, telling: Telling
) -> None:
    telling.begin()
    telling.flicker(150)
    answer = admin_client.get(address("live", telling.run), {"after": "1-free"})
    assert answer["HX-Refresh"] == "true"


def test_the_page_of_2000_events_takes_about_as_long_as_that_of_250_and_pages_them(
    admin_client: Client, telling: Telling, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    telling.begin()
    telling.flicker(250)
    of_few = quickest(lambda: page(admin_client, telling.run))
    telling.flicker(1750)
    with django_assert_max_num_queries(12):
        content = page(admin_client, telling.run)
    assert quickest(lambda: page(admin_client, telling.run)) <= TIMES_AS_LONG * of_few
    assert content.count('<td class="number">') < 250
    earlier = re.search(r'hx-get="([^"]+before=\d+)"', content)
    assert earlier is not None
    assert NOTICED in admin_client.get(earlier[1]).content.decode()


def test_a_poll_without_a_change_takes_3_queries_no_body_and_no_longer_for_2000_events(
    admin_client: Client, telling: Telling, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    telling.begin()
    poll_of_few = next_poll(page(admin_client, telling.run))
    of_few = quickest(lambda: admin_client.get(poll_of_few))
    telling.flicker(2000)
    poll = next_poll(page(admin_client, telling.run))
    with django_assert_max_num_queries(3):
        answer = admin_client.get(poll)
    size = len(answer.content) + sum(len(name) + len(value) + 4 for name, value in answer.items())
    assert size <= 5 * 1024
    assert quickest(lambda: admin_client.get(poll)) <= TIMES_AS_LONG * of_few


@pytest.mark.parametrize(("origin", "words"), [("cli", "the command line"), ("admin", "the browser")])
def test_the_page_shows_who_started_a_run_and_how(origin: str, words: str) -> None:
    assert Run(started_from=origin).started_in_words == words


def test_a_step_of_a_phase_that_was_cut_short_ends_with_it(telling: Telling) -> None:
    telling.tell("phase_started")
    telling.tell("validation_started", NOTICED)
    telling.tell("phase_finished")
    telling.tell("phase_started", phase="recovery")
    history = read_history(telling.run)
    (step,) = history.steps
    assert (step.verdict, step.ended) == ("not judged", history.phases[0].ended)


def test_events_during_the_rendering_are_left_to_the_next_poll(telling: Telling) -> None:
    telling.begin()
    run = Run.objects.get(pk=telling.run.pk)
    telling.tell("validation_started", "orders are still accepted")
    page = run_page.whole_page(run)
    assert page["events"][-1].sequence == run.last_event
    assert "orders are still accepted" not in [step.name for step in page["steps"]]
    nothing = run_page.what_changed(run, page["mark"])
    assert nothing is not None
    assert nothing["events"] == []
    later = run_page.what_changed(Run.objects.get(pk=run.pk), page["mark"])
    assert later is not None
    assert [step.name for step in later["new_steps"]] == ["orders are still accepted"]
    assert len(later["events"]) == 1


def test_the_title_tells_the_verdict_to_a_tab_in_the_background(
    admin_client: Client, telling: Telling
) -> None:
    telling.begin()
    content = page(admin_client, telling.run)
    assert f"<title>▶ running: {telling.run} | Test Coordinator</title>" in content
    telling.finish()
    answer = admin_client.get(next_poll(content)).content.decode()
    assert f"<title>✓ passed: {telling.run} | Test Coordinator</title>" in answer


def test_the_header_tells_the_present_phase_what_is_injected_and_what_comes_next(
    admin_client: Client, telling: Telling
) -> None:
    telling.begin()
    content = " ".join(page(admin_client, telling.run).split())
    assert "in phase “chaos”" in content
    assert re.search(r"</time> of [^<]+</span>, then recovery", content)
    assert '<progress data-since="' in content
    assert re.search(rf"<strong>Injected now:</strong> {SLOWED} on exchange, for <time", content)
    assert 'class="fault active grows"' in content
    telling.finish()
    assert "Injected now" not in page(admin_client, telling.run)


def test_a_viewer_is_not_offered_what_only_others_may_do(client: Client, telling: Telling) -> None:
    telling.begin()
    run = telling.finish(Rollback.DIRTY)
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_run"))
    client.force_login(viewer)
    content = page(client, run)
    assert "still injected" in content
    assert "Try again" not in content
    assert "Acknowledge…" not in content


def test_a_part_of_the_run_is_drawn_and_nonsense_is_not(admin_client: Client, telling: Telling) -> None:
    telling.begin()
    run = telling.finish()
    assert run.claimed_at is not None
    Run.objects.filter(pk=run.pk).update(finished_at=run.claimed_at + timedelta(seconds=10))
    part = admin_client.get(address("zoom", run), {"from": "0", "to": "0.5"}).content.decode()
    assert "From 0s to 500ms" in part
    assert 'data-seconds="0.500"' in part
    # Either limit may come first, and nothing is drawn beyond the end.
    for begin, end, shown in (
        ("9", "3", "From 3s to 9s"),
        ("8", "99", "From 8s to 10s"),
        ("50", "99", "From 9.8s to 10s"),
    ):
        part = admin_client.get(address("zoom", run), {"from": begin, "to": end}).content.decode()
        assert shown in part
    for words in ({}, {"from": "0"}, {"from": "-1", "to": "2"}, {"from": "nan", "to": "1e999"}):
        answer = admin_client.get(address("zoom", run), words)
        assert (answer.status_code, answer.content.strip()) == (200, b"")


def test_why_a_run_waits_is_the_present_reason(admin_client: Client) -> None:
    stored = stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    first, second = (
        run_commands.start_run(DOCUMENT, {}, origin="cli", scenario=stored) for _number in range(2)
    )
    assert "waiting: no worker has been seen" in page(admin_client, second)
    Heartbeat.objects.create(name="worker", seen_at=timezone.now())
    assert "waiting: a worker will pick it up" in page(admin_client, first)
    content = page(admin_client, second)
    assert "waiting: 1 run before it in the queue" in content
    assert admin_client.get(next_poll(content)).status_code == 204
    global_stop.pull_global_stop(by="berta", reason="an incident")
    for said in (page(admin_client, second), admin_client.get(next_poll(content)).content.decode()):
        assert re.search("waiting: [^<]*berta[^<]*an incident", said)
        assert "before it in line" not in said
