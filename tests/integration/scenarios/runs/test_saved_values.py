"""Saved values of whole runs: an undo finds them in the database, also after its worker was killed."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from scenarios.domain.outcomes import FaultState, Outcome, Rollback, RunState
from scenarios.drivers.installed import installed_drivers
from scenarios.drivers.platform import SitePlatform
from scenarios.engine.clock import SystemClock
from scenarios.engine.injection import Injector
from scenarios.engine.steps import StepRunner
from scenarios.library import services as registered_services
from scenarios.models import Event, Fault, Run
from scenarios.runs import executor, leases, recovery
from scenarios.runs.journal import DatabaseJournal
from tests.integration.scenarios.reaching import carried_out, queued
from tests.servers.orders import Orders, running_orders

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "correct-horse-battery"
ORDER = {
    "name": "order",
    "do": {"http": {"service": "shop", "method": "POST", "path": "/orders"}},
    "save": {"order": "$.id"},
    "undo": {"http": {"service": "shop", "method": "DELETE", "path": "/orders/${saved.order}"}},
}
LOOK = {
    "name": "it is there",
    "probe": {"http": {"service": "shop", "path": "/orders/${saved.order}"}},
    "expect": {"status": 200, "json": {"$.id": "${saved.order}"}},
}


def document(*actions: dict[str, Any], validations: Any = ()) -> str:
    phase = {"name": "p", "actions": list(actions), "validations": list(validations)}
    return json.dumps(
        {
            "apiVersion": "coordinator/v1",
            "kind": "Scenario",
            "metadata": {"name": "orders"},
            "spec": {"phases": [phase]},
        }
    )


@pytest.fixture
def shop() -> Iterator[Orders]:
    with running_orders() as orders:
        registered_services.register_service("shop", orders.url)
        yield orders


def test_a_run_undoes_the_order_that_it_has_placed(shop: Orders, admin_client: Client) -> None:
    ended = carried_out(queued(document(ORDER, validations=[LOOK])))
    assert (ended.outcome, ended.rollback) == (Outcome.PASSED, Rollback.CLEAN), ended.reason
    assert (shop.placed, shop.open) == (["n1"], set())
    fault = Fault.objects.get()
    assert fault.undo["arguments"]["path"] == "/orders/n1"
    assert "saved" in admin_client.get(f"/admin/scenarios/run/{ended.pk}/report/").content.decode()


@pytest.mark.parametrize("is_completed", [True, False])
def test_the_worker_that_takes_over_undoes_what_the_ledger_knows(
    shop: Orders, monkeypatch: pytest.MonkeyPatch, is_completed: bool
) -> None:
    """Killed after the ledger's completion, or between the answer and that: then nobody knows the order."""
    run = queued(document(ORDER))
    inject_as_worker(run, monkeypatch, is_completed=is_completed)
    assert shop.open == {"n1"}
    leases.expire_leases("dead:1")
    run.refresh_from_db()
    assert run.state == RunState.RUNNING
    ended = recovery.undo_now(run)
    assert ended is not None
    fault = Fault.objects.get()
    if is_completed:
        assert (ended.rollback, shop.open) == (Rollback.UNVERIFIED, set())
    else:
        assert (ended.rollback, fault.state) == (Rollback.DIRTY, FaultState.OUTSTANDING)
        assert "'${saved.order}' is unknown: no answer has come" in fault.reason
        assert shop.open == {"n1"}


class Killed(BaseException):
    pass


def inject_as_worker(run: Run, monkeypatch: pytest.MonkeyPatch, *, is_completed: bool) -> None:
    """Inject the first fault as a worker that dies when it has the answer, or has written it down."""
    complete = DatabaseJournal.complete

    async def die(journal: DatabaseJournal, fault: Any) -> None:
        if is_completed:
            await complete(journal, fault)
        raise Killed

    async def inject(claim: leases.Claim) -> None:
        journal = executor.build_journal(run, claim)
        platform = await journal.write(SitePlatform, run.addresses)
        injector = Injector(
            steps=StepRunner(installed_drivers(), platform, SystemClock()),
            ledger=journal,
            clock=SystemClock(),
            late_seconds=30,
            lease_seconds=10,
            lost=lambda _fault, _reason: None,
        )
        with pytest.raises(Killed):
            await injector.act(plan.phases[0].actions[0], "p")
        await journal.close()

    monkeypatch.setattr(DatabaseJournal, "complete", die)
    plan = executor.build_run_plan(run)
    claim = leases.claim_run(run.id, run.attempt, worker="dead:1")
    assert claim is not None
    asyncio.run(inject(claim))


def test_a_secret_in_a_saved_value_is_nowhere_in_the_database(
    shop: Orders, monkeypatch: pytest.MonkeyPatch, admin_client: Client
) -> None:
    monkeypatch.setenv("SCENARIO_SECRET_TOKEN", TOKEN)
    shop.prefix = f"{TOKEN}-"
    login = {"name": "login", "do": {"http": {"service": "shop", "headers": {"X-Key": "${secret:TOKEN}"}}}}
    ended = carried_out(queued(document(login, ORDER)))
    assert (ended.outcome, ended.rollback, shop.open) == (Outcome.PASSED, Rollback.CLEAN, set()), ended.reason
    fault = Fault.objects.get()
    assert fault.undo["arguments"]["path"] == "/orders/${secret:TOKEN}-1"
    assert TOKEN not in str([*Fault.objects.values(), *Event.objects.values(), *Run.objects.values()])
    for page in (f"run/{ended.pk}/report/", f"run/{ended.pk}/change/", f"fault/{fault.pk}/change/"):
        assert TOKEN not in admin_client.get(f"/admin/scenarios/{page}").content.decode()
