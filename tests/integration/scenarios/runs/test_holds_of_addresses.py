"""A run has for itself what its bytes go to: services by whatever spelling, and addresses of no service."""

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from scenarios.domain.errors import StepImpossible
from scenarios.domain.outcomes import Outcome, Rollback, RunState
from scenarios.library import services as registered_services
from scenarios.models import Fault, Hold, Run
from scenarios.ports import Connection, Intent
from scenarios.runs import leases, recovery
from scenarios.runs.gate import RunGate
from tests.integration.scenarios.reaching import action, carried_out, document, in_the_database, probe, queued
from tests.servers.recording import Recorder, recording

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def target() -> Iterator[Recorder]:
    """A server that is registered as no service."""
    with recording() as server:
        yield server


@pytest.fixture
def shop(target: Recorder) -> Recorder:
    registered_services.register_service("shop", target.url)
    return target


def post(url: str, **more: Any) -> dict[str, Any]:
    return {"http": {"url": url, "method": "POST", **more}}


def begun(source: str) -> Run:
    run = queued(source)
    assert leases.claim_run(run.id, 1, worker="a:1") is not None
    return Run.objects.get(pk=run.pk)


def held() -> set[str]:
    return set(Hold.objects.values_list("service", flat=True))


def test_runs_on_one_service_by_two_spellings_do_not_go_side_by_side(shop: Recorder) -> None:
    by_name = document(actions=[action({"http": {"service": "shop", "method": "POST"}})])
    by_url = document(actions=[action({"http": {"url": f"http://[::1]:{shop.port}/", "method": "POST"}})])
    by_probe = document(
        validations=[probe({"http": {"url": f"http://127.1:{shop.port}/", "method": "POST"}})]
    )
    assert leases.claim_run(queued(by_name).id, 1, worker="a:1") is not None
    for source in (by_url, by_probe):
        waiting = carried_out(queued(source))
        assert "service 'shop' is held by" in waiting.waiting_for
    assert shop.requests == []


@pytest.fixture
def _shop_in_a_secret(shop: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENARIO_SECRET_SHOP", shop.url)


@pytest.mark.usefixtures("_shop_in_a_secret")
def test_address_hidden_by_a_secret_is_held_from_the_first_request_on(shop: Recorder) -> None:
    holders: list[list[str]] = []
    shop.before_answer = in_the_database(
        lambda _request: holders.append(list(Hold.objects.values_list("service", flat=True)))
    )
    hidden = document(actions=[action({"http": {"url": "${secret:SHOP}", "method": "POST"}})])
    ended = carried_out(queued(hidden))
    assert (ended.outcome, holders, ended.services) == (Outcome.PASSED, [["shop"]], ["shop"])
    assert not Hold.objects.exists()


@pytest.mark.usefixtures("_shop_in_a_secret")
def test_address_hidden_by_a_secret_and_held_by_another_run_is_refused(shop: Recorder) -> None:
    by_name = queued(document(actions=[action({"http": {"service": "shop", "method": "POST"}})]))
    assert leases.claim_run(by_name.id, 1, worker="a:1") is not None
    hidden = document(actions=[action({"http": {"url": "${secret:SHOP}", "method": "POST"}})])
    ended = carried_out(queued(hidden))
    assert (ended.outcome, shop.requests) == (Outcome.ERRORED, [])
    assert "which is held by" in ended.reason


# Addresses where no service is registered


@pytest.mark.parametrize("spelling", ["localhost", "127.1", "[::1]", "2130706433", "ann:pw@LOCALHOST."])
def test_runs_on_one_address_of_no_service_do_not_go_side_by_side(target: Recorder, spelling: str) -> None:
    first = begun(document(actions=[action(post(target.url))]))
    assert first.services == [f"127.0.0.1:{target.port}"]
    waiting = carried_out(queued(document(actions=[action(post(f"http://{spelling}:{target.port}/x"))])))
    assert waiting.waiting_for == f"address 127.0.0.1:{target.port} is held by {first}"
    assert leases.claim_next_run(worker="b:1") is None
    connecting = carried_out(
        queued(document(actions=[action({"tcp": {"host": "::1", "port": target.port}})]))
    )
    assert "is held by" in connecting.waiting_for
    assert target.requests == []


def test_run_that_only_reads_waits_for_no_other(target: Recorder) -> None:
    begun(document(actions=[action(post(target.url))]))
    assert (
        carried_out(queued(document(validations=[probe({"http": {"url": target.url}})]))).outcome == "passed"
    )


def test_the_address_is_free_again_after_the_run(target: Recorder) -> None:
    source = document(actions=[action(post(target.url))])
    for _ in range(2):
        assert carried_out(queued(source)).outcome == Outcome.PASSED
    assert not Hold.objects.exists()


def test_a_service_that_is_registered_at_a_held_address_is_held(target: Recorder) -> None:
    begun(document(actions=[action(post(target.url))]))
    registered_services.register_service("late", f"http://localhost:{target.port}")
    by_name = carried_out(queued(document(actions=[action({"http": {"service": "late", "method": "POST"}})])))
    assert f"address 127.0.0.1:{target.port} is held by" in by_name.waiting_for


def test_where_a_held_service_was_is_held_though_it_has_moved(shop: Recorder) -> None:
    begun(document(actions=[action({"http": {"service": "shop", "method": "POST"}})]))
    registered_services.register_service("shop", "http://127.0.0.1:9")
    by_url = carried_out(queued(document(actions=[action(post(f"http://localhost:{shop.port}"))])))
    assert "service 'shop' is held by" in by_url.waiting_for


@pytest.fixture
def _target_in_a_secret(target: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"URL": target.url, "HOST": "127.0.0.1", "PORT": str(target.port)}.items():
        monkeypatch.setenv(f"SCENARIO_SECRET_{name}", value)


@pytest.mark.usefixtures("_target_in_a_secret")
def test_a_hidden_address_is_held_and_shown_to_nobody(target: Recorder) -> None:
    waiting: list[Run] = []
    stored: list[str] = []

    def look(_request: Any) -> None:
        if not stored:
            stored.extend(held())
            waiting.append(
                carried_out(queued(document(actions=[action(post(f"http://[::1]:{target.port}"))])))
            )

    target.before_answer = in_the_database(look)
    ended = carried_out(queued(document(actions=[action(post("${secret:URL}"))])))
    assert (ended.outcome, len(target.requests)) == (Outcome.PASSED, 1)
    assert f"address 127.0.0.1:{target.port} is held by" in waiting[0].waiting_for
    assert str(target.port) not in f"{stored}{ended.services}"
    assert not Hold.objects.exists()


@pytest.mark.usefixtures("_target_in_a_secret")
@pytest.mark.parametrize("url", ["${secret:URL}", "http://${secret:HOST}:${secret:PORT}/x"])
def test_a_hidden_address_that_another_run_holds_is_refused(target: Recorder, url: str) -> None:
    begun(document(actions=[action(post(f"http://localhost:{target.port}"))]))
    ended = carried_out(queued(document(actions=[action(post(url))])))
    assert (ended.outcome, target.requests) == (Outcome.ERRORED, [])
    assert "which is held by" in ended.reason


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_to_no_address_that_another_run_holds(target: Recorder, status: int) -> None:
    begun(document(actions=[action(post(target.url))]))
    with recording() as front:
        front.status, front.redirect_to = status, f"http://localhost:{target.port}/x"
        ended = carried_out(queued(document(actions=[action(post(front.url, follow_redirects=True))])))
    assert (ended.outcome, target.requests) == (Outcome.ERRORED, [])


# What an outstanding fault holds


@pytest.mark.usefixtures("_target_in_a_secret")
@pytest.mark.parametrize("is_registered", [True, False])
def test_address_hidden_in_the_undo_is_held_as_long_as_the_fault(
    target: Recorder, is_registered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenarios.engine.injection.UNDO_DELAYS", ())
    if is_registered:
        registered_services.register_service("shop", target.url)
    target.status = 500
    undo = {"http": {"url": "${secret:URL}", "method": "DELETE"}}
    with recording() as other:
        left = carried_out(queued(document(actions=[action(post(other.url), undo)])))
    assert left.rollback == Rollback.DIRTY
    waiting = carried_out(queued(document(actions=[action(post(f"http://localhost:{target.port}"))])))
    assert "with a fault that is not undone" in waiting.waiting_for
    target.status = 200
    assert recovery.undo_now(left) is not None
    assert not Hold.objects.exists()


@pytest.mark.usefixtures("_target_in_a_secret")
def test_address_hidden_by_a_secret_is_held_for_a_second_fault_too(target: Recorder) -> None:
    seen: list[list[str]] = []
    target.before_answer = in_the_database(
        lambda _request: seen.append([name for row in Fault.objects.all() for name in row.services])
    )
    undo = {"wait": {"duration": "1ms"}}
    first = {"name": "first", "do": post("${secret:URL}")}
    second = {"name": "second", "do": post("${secret:URL}"), "undo": undo}
    assert carried_out(queued(document(actions=[first, second]))).outcome == Outcome.PASSED
    assert [len(names) for names in seen] == [0, 1]


def test_a_run_that_has_ended_takes_nothing_any_more(target: Recorder) -> None:
    ended = carried_out(queued(document(actions=[action({"wait": {"duration": "1ms"}})])))
    assert ended.state == RunState.FINISHED
    with pytest.raises(StepImpossible, match="the run has ended"):
        async_to_sync(RunGate(ended).admit)(Connection("x", (("127.0.0.1", target.port),)), Intent.ACT)
    assert not Hold.objects.exists()
