"""Environments that are changed, protected or deleted while runs wait, and by several people at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from scenarios.domain.errors import UnknownEnvironment
from scenarios.domain.outcomes import Outcome, RunState
from scenarios.library import environments
from scenarios.library import services as registered_services
from scenarios.models import Approval, Environment, Run
from scenarios.runs import commands as run_commands
from tests.integration.scenarios.planned_rows import someone
from tests.integration.scenarios.reaching import action, approved, carried_out, document
from tests.servers.recording import Recorder, recording

pytestmark = pytest.mark.django_db(transaction=True)

STEP = {"http": {"service": "shop", "method": "POST", "path": "/fault"}}
UNDO = {"http": {"service": "shop", "method": "DELETE", "path": "/fault"}}
BREAKS = document(actions=[action(STEP, UNDO)])


@pytest.fixture
def production() -> Iterator[Recorder]:
    with recording() as server:
        registered_services.register_service("shop", server.url)
        yield server


@pytest.fixture
def staging(production: Recorder) -> Iterator[Recorder]:
    with recording() as server:
        put(server.url)
        yield server


def put(url: str, name: str = "staging", **words: Any) -> Environment:
    return environments.put_environment(name, {"services": {"shop": {"base_url": url, **words}}}, by=None)


def start(environment: str = "staging") -> Run:
    return run_commands.start_run(BREAKS, {}, origin="cli", by=someone("ann"), environment=environment)


def test_a_waiting_run_whose_environment_is_deleted_goes_nowhere(
    production: Recorder, staging: Recorder
) -> None:
    waiting = start()
    environments.delete_environment(Environment.objects.get())
    ended = carried_out(waiting)
    assert ended.outcome == Outcome.ERRORED
    assert "the environment 'staging' has no service 'shop'" in ended.reason
    assert (staging.asked, production.asked) == ([], [])


def test_a_waiting_run_asks_for_approval_if_its_service_is_protected_meanwhile(staging: Recorder) -> None:
    waiting = start()
    put(staging.url, protected=True)
    assert carried_out(waiting).state == RunState.AWAITING_APPROVAL
    assert staging.asked == []


def test_an_approval_does_not_cover_a_protected_service_to_which_the_environment_now_leads(
    production: Recorder, staging: Recorder
) -> None:
    put(staging.url, protected=True)
    waiting = start()
    assert Approval.objects.get(run=waiting).services == ["shop@staging"]
    put(production.url, "production", protected=True)
    put(production.url, protected=True)
    ended = approved(waiting)
    assert (ended.state, "'shop@production' is protected" in ended.waiting_for) == (
        RunState.AWAITING_APPROVAL,
        True,
    )
    assert (staging.asked, production.asked) == ([], [])


def test_second_of_two_concurrent_additions_of_an_environment_changes_it(production: Recorder) -> None:
    def add(number: int) -> str:
        try:
            return str(put(f"http://127.0.0.1:{number}").services["shop"]["base_url"])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(add, range(1, 5)))
    assert added == [f"http://127.0.0.1:{number}" for number in range(1, 5)]
    assert Environment.objects.get().services["shop"]["base_url"] in added


@pytest.mark.parametrize(
    "name", ["shop@staging", "staging\0", "\udcff", "a" * 1000, "../staging", "@", "Staging"]
)
def test_a_name_that_no_environment_can_have_is_unknown(staging: Recorder, name: str) -> None:
    with pytest.raises(UnknownEnvironment, match="unknown environment"):
        start(name)


def test_a_document_cannot_reach_into_an_environment(staging: Recorder) -> None:
    there = document(actions=[action({"http": {**STEP["http"], "service": "shop@staging"}})])
    ended = carried_out(run_commands.start_run(there, {}, origin="cli"))
    assert (ended.outcome, "unknown service 'shop@staging'" in ended.reason) == (Outcome.ERRORED, True)
    assert staging.asked == []
