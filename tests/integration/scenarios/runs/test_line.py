"""The line of queued runs: by priority, and first queued, first started, for each service and over all."""

import random
from typing import Any

import pytest
from django.utils import timezone

from scenarios.domain.outcomes import Outcome, Rollback, RunState, Verdict
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.models import Run
from scenarios.runs import commands as run_commands
from scenarios.runs import global_stop, leases, lifecycle, task_queue
from scenarios.runs.leases import Claim
from tests.command_line import CommandLine

pytestmark = pytest.mark.django_db

HEAD = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: touching}
spec:
  phases:
    - name: chaos
      actions:
"""
ACTION = """
        - name: break {service}
          do: {{http: {{service: {service}, method: POST, path: /fault}}}}
          undo: {{http: {{service: {service}, method: DELETE, path: /fault}}}}
"""


def queued(*names: str, **options: Any) -> Run:
    document = HEAD + "".join(ACTION.format(service=name) for name in names)
    return run_commands.start_run(document, {}, origin="cli", **options)


def claim() -> Claim | None:
    return leases.claim_next_run(worker="a:1")


def finish(claimed: Claim) -> None:
    lifecycle.finish_run(claimed, Verdict(Outcome.PASSED, "", Rollback.CLEAN), timezone.now())


def claimed_run() -> Run | None:
    claimed = claim()
    return Run.objects.get(id=claimed.run_id) if claimed else None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_runs_on_one_service_keep_their_order(settings: Any, seed: int) -> None:
    settings.MAX_CONCURRENT_RUNS = 3
    chance = random.Random(seed)  # noqa: S311 - an order to finish in
    names = [f"service-{number}" for number in range(5)]
    order: dict[str, list[Any]] = {name: [] for name in names}
    for _ in range(60):
        name = chance.choice(names)
        order[name].append(queued(name).id)
    begun: dict[str, list[Any]] = {name: [] for name in names}
    running: list[Claim] = []
    while Run.objects.unfinished().exists():
        while (claimed := claim()) is not None:
            running.append(claimed)
            (service,) = Run.objects.get(id=claimed.run_id).services
            begun[service].append(claimed.run_id)
        assert len(running) <= 3
        # While anything waits that may begin, no place is left free.
        assert len(running) == 3 or not task_queue.find_runs_to_enqueue(timezone.now())
        finish(running.pop(chance.randrange(len(running))))
    assert begun == order


def test_the_first_in_line_begins_whichever_run_the_message_was_of(settings: Any) -> None:
    settings.MAX_CONCURRENT_RUNS = 1
    first, second = queued("one"), queued("two")
    assert claimed_run() == first
    assert claim() is None
    second.refresh_from_db()
    assert "MAX_CONCURRENT_RUNS is 1" in second.waiting_for


def test_a_run_of_a_higher_priority_begins_first_and_one_of_a_lower_last(settings: Any) -> None:
    settings.MAX_CONCURRENT_RUNS = 10
    low, usual, high = queued("one", priority=-5), queued("one"), queued("one", priority=7)
    begun = []
    while (claimed := claim()) is not None:
        begun.append(claimed.run_id)
        finish(claimed)
    assert begun == [high.id, usual.id, low.id]


def test_a_run_of_two_services_is_not_overtaken_for_ever_by_those_of_one() -> None:
    first = queued("one")
    claimed = claim()
    both, later = queued("one", "two"), queued("two")
    assert claim() is None  # `later` would keep `both` waiting
    later.refresh_from_db()
    assert "is waiting for" in later.waiting_for
    assert "queued earlier" in later.waiting_for
    assert claimed is not None
    finish(claimed)
    assert claimed_run() == both
    assert first.id == claimed.run_id


def test_the_next_runs_are_enqueued_as_soon_as_a_run_ends(settings: Any) -> None:
    settings.MAX_CONCURRENT_RUNS = 2
    for _ in range(4):
        queued("one")
    for _ in range(2):
        queued("two")
    first, second = claim(), claim()
    assert first is not None
    assert second is not None
    assert claim() is None
    finish(first)
    (told,) = task_queue.find_runs_to_enqueue(timezone.now())
    assert told.services == ["one"]
    assert task_queue.find_runs_to_enqueue(timezone.now()) != []  # until the queue was told
    task_queue.enqueue_runs([told])
    assert task_queue.find_runs_to_enqueue(timezone.now()) == []


def test_the_end_of_a_run_that_waited_frees_those_behind_it(django_capture_on_commit_callbacks: Any) -> None:
    queued("one")
    claim()
    both, later = queued("one", "two"), queued("two")
    assert claim() is None
    with django_capture_on_commit_callbacks(execute=True):
        run_commands.request_stop(both, by="ann")
    later.refresh_from_db()
    assert later.waiting_for == ""
    assert later.enqueued_at is not None
    assert claimed_run() == later


def test_no_run_begins_under_the_global_stop_and_all_say_so() -> None:
    run = queued("one")
    global_stop.pull_global_stop(by="ann", reason="an incident")
    assert claim() is None
    run.refresh_from_db()
    assert "pulled by ann" in run.waiting_for
    global_stop.release_global_stop()
    assert claimed_run() == run


@pytest.mark.parametrize(
    ("given", "kept"), [([], 0), (["--priority", "40"], 40), (["--priority", "-100"], -100)]
)
def test_the_command_line_gives_a_run_its_priority(
    scenario: CommandLine, given: list[str], kept: int
) -> None:
    stored_scenarios.save_scenario(documents.read_document(HEAD + ACTION.format(service="one")))
    assert scenario("run", "touching", "--detach", *given).code == 0
    assert (Run.objects.get().priority, Run.objects.get().state) == (kept, RunState.QUEUED)


@pytest.mark.parametrize("given", ["101", "-101", "high", "1.5"])
def test_an_invalid_priority_is_refused(scenario: CommandLine, given: str) -> None:
    stored_scenarios.save_scenario(documents.read_document(HEAD + ACTION.format(service="one")))
    said = scenario("run", "touching", "--detach", f"--priority={given}")
    assert said.code == 1  # as of every argument that makes no sense
    assert "choose a whole number from -100 to 100" in said.err
    assert not Run.objects.exists()
