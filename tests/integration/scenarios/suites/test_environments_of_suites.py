"""`environment` of a suite: its cells run there, with the addresses and fault proxies of that place."""

import pytest
from django.utils import timezone

from scenarios.domain.errors import InvalidDocument
from scenarios.domain.outcomes import Outcome
from scenarios.domain.suite_states import CellState, SuiteOutcome, SuiteRunState, TriedState
from scenarios.library import environments
from scenarios.models import Environment, Run
from scenarios.suites.documents import read_suite
from scenarios.suites.running import advance, start_suite
from tests.integration.scenarios.suites.ended_runs import end_run
from tests.integration.scenarios.suites.suite_rows import (
    PROXY,
    REFUSED,
    SLOW,
    TWO_CELLS,
    register_services,
    save_catalogue,
    store_suite,
)

pytestmark = pytest.mark.django_db
THERE = TWO_CELLS.replace("  service: shop\n", "  service: shop\n  environment: staging\n")


@pytest.fixture(autouse=True)
def staging() -> None:
    register_services()
    save_catalogue(SLOW, REFUSED)
    services = {
        "shop": {"base_url": "http://127.0.0.1:11"},
        "shop-db": {"base_url": "postgres://127.0.0.1:12", "proxy": PROXY},
        "cache": {"base_url": "redis://127.0.0.1:13"},
    }
    environments.put_environment("staging", {"services": services}, by=None)


def test_cells_run_in_the_environment_of_the_suite() -> None:
    suite_run = start_suite(store_suite(THERE), origin="cli")
    assert Run.objects.get().environment == "staging"
    refused = suite_run.cells.get(dependency="cache")
    assert (refused.state, refused.reason) == (TriedState.SKIPPED, "'cache' names no fault proxy")


def test_proof_in_one_environment_is_no_proof_in_another() -> None:
    suite = store_suite(THERE)
    proofs = suite.cells.filter(proved_at__isnull=False)
    suite.cells.update(state=CellState.SURVIVED, proved_at=timezone.now())
    store_suite(THERE.replace("kind: Suite", "kind: Suite  # the same place"))
    assert proofs.count() == 2
    environments.delete_environment(Environment.objects.get())
    store_suite(TWO_CELLS)
    assert (suite.cells.count(), proofs.count()) == (2, 0)


def test_a_run_of_the_suite_that_goes_on_proves_nothing_of_its_next_environment() -> None:
    suite = store_suite(THERE)
    suite_run = start_suite(suite, origin="cli")
    store_suite(TWO_CELLS)
    end_run(Run.objects.get(), Outcome.PASSED)
    advance(suite_run.id)
    assert suite_run.cells.get(dependency="shop-db").state == TriedState.SURVIVED
    assert set(suite.cells.values_list("state", flat=True)) == {CellState.NEVER_TRIED}


def test_a_suite_whose_environment_is_gone_tries_nothing_and_says_why() -> None:
    suite = store_suite(THERE)
    environments.delete_environment(Environment.objects.get())
    suite_run = start_suite(suite, origin="cli")
    assert (suite_run.state, suite_run.outcome) == (SuiteRunState.FINISHED, SuiteOutcome.ERRORED)
    assert set(suite_run.cells.values_list("reason", flat=True)) == {
        "the environment 'staging' has no service 'cache' any more",
        "the environment 'staging' has no service 'shop-db' any more",
    }
    assert not Run.objects.exists()


def test_a_cell_whose_service_under_test_is_gone_from_the_environment_is_skipped() -> None:
    suite = store_suite(THERE)
    environment = Environment.objects.get()
    del environment.services["shop"]
    environment.save()
    suite_run = start_suite(suite, origin="cli")
    reason = suite_run.cells.get(dependency="shop-db").reason
    assert reason.startswith("its scenario cannot be run: the environment 'staging' has no service 'shop',")
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("environment: staging", "environment: stagin", "unknown environment 'stagin'", "'staging'?"),
        (
            "{service: cache,",
            "{service: till,",
            "unknown service 'till'",
            "choose one of cache",
        ),
    ],
)
def test_an_unknown_name_is_refused_at_its_place(old: str, new: str, message: str, hint: str) -> None:
    text = THERE.replace(old, new)
    with pytest.raises(InvalidDocument) as refusal:
        read_suite(text)
    (found,) = refusal.value.problems
    assert (found.message, hint in found.hint) == (message, True)
    assert text.splitlines()[found.line - 1][found.column - 1 :].startswith(new.rpartition(" ")[2].strip(","))
