"""The run page tells what happened, sends only what changed, and stays quick however long the run."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from scenarios.control_room import run_page
from scenarios.domain.outcomes import Rollback
from scenarios.models import Run
from scenarios.runs.history import read_history
from tests.integration.scenarios.stopwatch import quickest
from tests.integration.scenarios.story_rows import NOTICED, SLOWED, Telling

pytestmark = pytest.mark.django_db


@pytest.fixture
def telling() -> Telling:
    return Telling()


def address(name: str, run: Run) -> str:
    return reverse(f"admin:scenarios_run_{name}", args=[run.pk])


def page(client: Client, run: Run) -> str:
    return client.get(address("change", run)).content.decode()


def next_poll(content: str) -> str:
    found = re.search(r'id="poll" hx-get="([^"]+)"', content)
    return found[1] if found else ""


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


def test_an_ended_run_with_a_dirty_rollback_is_an_alarm_and_still_polled(
    admin_client: Client, telling: Telling
) -> None:
    telling.begin()
    content = page(admin_client, telling.finish(Rollback.DIRTY))
    for words in ("rollback dirty", "1 still injected", "the exchange answered 503"):
        assert words in content
    assert next_poll(content)


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


@pytest.mark.parametrize(("origin", "words"), [("cli", "on the command line"), ("admin", "in the browser")])
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


def test_what_happens_while_a_page_is_built_is_left_to_the_next_poll(telling: Telling) -> None:
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
