"""The page of a run that went wrong says what is true, why, and what to press."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from scenarios.control_room.run_advice import AGAIN, CUT_OFF, MAY_ARRIVE, build_advice
from scenarios.control_room.system_state import describe_retries
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.library import services as registered_services
from scenarios.models import Fault, Heartbeat, Run
from scenarios.pictures.run_progress import read_outline
from scenarios.ports import Event
from scenarios.runs import ledger, ledger_entries, lifecycle
from scenarios.runs.component_heartbeats import record_heartbeat
from scenarios.runs.history import read_history
from scenarios.supervision import readiness
from tests.integration.scenarios.control_room.run_pages import address, next_poll, page
from tests.integration.scenarios.story_rows import NOTICED, SLOWED, Telling

pytestmark = pytest.mark.django_db


@pytest.fixture
def telling() -> Telling:
    return Telling()


def test_an_ended_run_with_a_dirty_rollback_is_an_alarm_and_still_polled(
    admin_client: Client, telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling.begin()
    content = page(admin_client, telling.finish(Rollback.DIRTY))
    for words in ("rollback dirty", "1 still injected", "the exchange answered 503"):
        assert words in content
    assert f"<strong>Still injected:</strong> {SLOWED} on exchange, since" in content
    assert "Its undo has failed 1 time: the exchange answered 503" in content
    header, _faults, rest = content.partition('<section class="card alarm" id="faults"')
    assert f'aria-label="Try again to undo {SLOWED}"' in header
    assert '<h2 id="timeline-title">' in rest  # what is broken comes first
    assert "<code>delay_ms</code> default</dt><dd>500</dd>" in content
    assert "Nothing retries the undo: no watchdog has been seen" in content
    poll = next_poll(content)
    assert admin_client.get(poll).status_code == 204
    monkeypatch.setattr(readiness, "WATCHDOG_SILENT_AFTER", timedelta(minutes=20))
    record_heartbeat("watchdog", "here:1")
    assert "<strong>The watchdog keeps trying.</strong>" in admin_client.get(poll).content.decode()


def test_a_run_whose_worker_is_gone_says_what_happens_next(
    admin_client: Client, telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling.begin()
    poll = next_poll(page(admin_client, telling.run))
    Run.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    changed = admin_client.get(poll).content.decode()
    assert "Its worker is gone. Nothing ends the run or undoes what it has injected: no watchdog" in changed
    assert "in phase" not in changed
    monkeypatch.setattr(readiness, "WATCHDOG_SILENT_AFTER", timedelta(minutes=20))
    record_heartbeat("watchdog", "here:1")
    assert "The watchdog is about to undo" in admin_client.get(next_poll(changed)).content.decode()


def test_a_run_that_was_taken_over_names_the_worker_that_carried_it_out(
    admin_client: Client, telling: Telling
) -> None:
    telling.tell("run_started", worker="here:1")
    assert "<dt>Worker</dt><dd>here:1</dd>" in page(admin_client, telling.run)
    Run.objects.update(worker="there:2")
    telling.tell("run_taken_over", **{"from": "here:1"})
    gone = 'here:1 <span class="quiet">is gone; there:2 undoes what it has injected</span>'
    assert gone in page(admin_client, telling.run)
    run = telling.finish(Rollback.DIRTY)
    assert "<dt>Worker</dt><dd>here:1 <span" in page(admin_client, run)
    Run.objects.update(attempt=2)
    telling.tell("run_queued_again")
    telling.tell("run_started", worker="here:3")
    assert "<dt>Worker</dt><dd>here:3, attempt 2</dd>" in page(admin_client, run)


def test_a_fault_that_may_still_arrive_or_has_ended_by_itself_is_not_said_to_be_injected(
    admin_client: Client, telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "WATCHDOG_SILENT_AFTER", timedelta(minutes=20))
    record_heartbeat("watchdog", "here:1")
    telling.begin()
    run = telling.finish(Rollback.DIRTY)
    ago = timezone.now() - timedelta(minutes=1)
    Fault.objects.update(lease_seconds=5, renewed_at=ago)
    content = page(admin_client, run)
    assert "<strong>Not seen to be gone:</strong>" in content
    assert "this could not be checked: the exchange answered 503." in content
    assert 'id="faults-title">Faults: 1 not seen to be gone</h2>' in content
    home = re.sub(r"\s+", " ", admin_client.get("/admin/").content.decode())
    assert '"outstanding-title">1 fault not seen to be gone</h2>' in home
    assert "has ended by itself at <time" in home
    one = reverse("admin:scenarios_fault_change", args=[Fault.objects.get().pk])
    assert "so it has ended by itself; this could not be checked" in admin_client.get(one).content.decode()
    late = timezone.now() + timedelta(minutes=5)
    Fault.objects.update(state="unverified", injected_at=None, lease_seconds=0, late_until=late)
    content += page(admin_client, run)
    assert "<strong>May still arrive:</strong>" in content
    assert "The watchdog undoes it again when it can no longer arrive.</strong></p>" in content
    assert 'id="faults-title">Faults: 1 may still arrive</h2>' in content
    assert "till injected" not in content
    Heartbeat.objects.all().delete()
    assert "Nothing undoes what arrives late: no watchdog" in page(admin_client, run)


def test_a_phase_of_an_earlier_attempt_ends_with_it(telling: Telling) -> None:
    telling.tell("phase_started")
    telling.tell("validation_started", NOTICED)
    telling.tell("run_queued_again")
    telling.tell("run_started", worker="here:3")
    history = read_history(telling.run)
    assert history.phases[0].ended is not None
    assert history.steps[0].verdict == "not judged"


def test_each_fault_says_what_undoes_it(admin_client: Client, telling: Telling) -> None:
    telling.begin()
    content = page(admin_client, telling.run)
    undo = re.search(r"How it is undone: http</summary><pre>(.*?)</pre>", content, re.DOTALL)
    assert undo is not None
    assert "path: /chaos/latency" in undo[1]


def test_an_outstanding_fault_is_retried_and_acknowledged_from_the_page_of_its_run(
    admin_client: Client, telling: Telling
) -> None:
    telling.begin()
    assert "Try again" not in page(admin_client, telling.run)
    run = telling.finish(Rollback.DIRTY)
    fault = run.faults.get()
    retry, acknowledge = (
        reverse(f"admin:scenarios_fault_{name}", args=[fault.pk]) for name in ("retry", "acknowledge")
    )
    content = page(admin_client, run)
    for place in (retry, acknowledge):
        assert f'action="{place}"' in content
    back = {"back_to_run": "yes"}
    assert admin_client.post(retry, back)["Location"] == address("change", run)
    done = admin_client.post(acknowledge, {**back, "reason": "restarted by hand"})
    assert done["Location"] == address("change", run)
    fault.refresh_from_db()
    assert (fault.state, fault.acknowledged_by) == ("acknowledged", "admin")
    assert "Try again" not in page(admin_client, run)


def test_a_run_that_still_retries_an_undo_says_so_and_offers_no_second_try(
    admin_client: Client, telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling.begin()
    Fault.objects.update(state="outstanding", undo_tries=2, reason="the exchange answered 503")
    content = re.sub(r"\s+", " ", page(admin_client, telling.run))
    assert "undoing what is still injected" in content
    assert "Its undo has failed 2 times, and the run retries it: the exchange answered 503" in content
    assert "Injected now" not in content
    assert "Try again" not in content
    assert "Acknowledge…" not in content
    monkeypatch.setattr(readiness, "WATCHDOG_SILENT_AFTER", timedelta(minutes=20))
    record_heartbeat("watchdog", "here:1")
    assert describe_retries(Fault.objects.all()).startswith("Its run retries the undo, and the watchdog")
    tried = reverse("admin:scenarios_fault_retry", args=[Fault.objects.get().pk])
    assert "goes on and retries the undo by itself" in admin_client.post(tried, follow=True).content.decode()


def test_an_errored_run_says_what_it_means_and_where_to_look(admin_client: Client) -> None:
    service = registered_services.register_service("exchange", "http://127.0.0.1:9")
    place = f"action '{SLOWED}' of phase 'chaos'"

    def end(telling: Telling, outcome: Outcome, reason: str) -> str:
        for fault in ledger_entries.list_faults_to_undo(telling.claim):
            undone = Event(EventKind.FAULT_UNDONE, timezone.now(), "chaos", SLOWED)
            ledger.mark_undone(telling.claim, fault, undone)
        verdict = Verdict(outcome, reason, Rollback.CLEAN)
        run = lifecycle.finish_run(telling.claim, verdict, timezone.now())
        content = page(admin_client, run)
        found = re.search(r'<p class="advice">(.*?)</p>', content)
        return found[1] if found else ""

    advice = end(Telling(), Outcome.ERRORED, f"exchange refused the connection ({place})")
    assert advice.startswith("The run could not do what its document says")
    assert "Nothing was injected. Put that right, then run again." in advice
    link = f'<a href="/admin/scenarios/service/{service.pk}/change/">Service exchange</a>'
    assert link in advice
    telling = Telling()
    telling.begin()
    telling.tell("validation_started", "look")
    telling.tell("validation_errored", "look", reason="no answer")
    advice = end(telling, Outcome.ERRORED, "validation 'look' could not be evaluated")
    assert "What it had injected is undone." in advice
    assert '<a href="#step-3">See the validation</a>' in advice
    assert end(Telling(), Outcome.ABORTED, "stopped by berta") == "Nothing was injected."
    telling = Telling()
    telling.begin()
    telling.tell("guard_tripped", "the shop is calm", reason="'status' is 503, not 200")
    advice = end(telling, Outcome.ABORTED, "guard 'the shop is calm' tripped")
    assert advice == 'What it had injected is undone. <a href="#step-3">See the guard</a>'


@pytest.mark.parametrize(
    ("state", "injected", "sentence"),
    [
        (
            "unverified",
            False,
            "An injection was never answered and may still arrive; it is then undone again.",
        ),
        ("watched", False, MAY_ARRIVE),
        ("undone", False, "An injection failed; what it may have done is undone."),
        ("undone late", False, "An injection was never answered; what it may have done is undone."),
        ("acknowledged", True, "What it had injected is undone, or was acknowledged by somebody."),
        ("undone", True, "What it had injected is undone."),
        ("not_injected", False, "Nothing was injected."),
    ],
)
def test_a_run_that_was_cut_off_says_what_may_be_left(
    telling: Telling, state: str, injected: bool, sentence: str
) -> None:
    telling.begin()
    telling.finish()
    Run.objects.update(outcome=Outcome.INTERRUPTED)
    at = timezone.now() if injected else None
    state, _, late = state.partition(" ")
    Fault.objects.update(state=state, injected_at=at, late_until=timezone.now() if late else None)
    telling.run.refresh_from_db()
    advice = build_advice(read_history(telling.run), read_outline(telling.run))
    assert advice is not None
    assert advice.sentences == [CUT_OFF, sentence, AGAIN]
