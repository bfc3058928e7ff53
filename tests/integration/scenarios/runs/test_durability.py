"""What must survive a power cut waits for the disk, whatever the database does with other transactions."""

from collections.abc import Iterator

import pytest
from django.db import connection

from scenarios.database.durability import on_disk
from scenarios.models import Run
from scenarios.runs import admission, leases
from scenarios.runs import commands as run_commands

pytestmark = pytest.mark.django_db(transaction=True)

# By the database: what says how a commit is kept, a weak setting, and what holds for a commit on disk.
WORDS = {
    "sqlite": ("PRAGMA synchronous", "PRAGMA synchronous=NORMAL", "2", "1"),
    "postgresql": ("SHOW synchronous_commit", "SET synchronous_commit = off", "on", "off"),
}
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: short}
spec: {phases: [{name: p, hold: 1s}]}
"""


def asked(words: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(words)
        return str(cursor.fetchone()[0])


@pytest.fixture
def weak() -> Iterator[None]:
    """As a server, a database or a role may be set."""
    with connection.cursor() as cursor:
        cursor.execute(WORDS[connection.vendor][1])
    yield
    connection.close()


def test_a_transaction_on_disk_waits_for_the_disk_whatever_server_and_role_say(weak: None) -> None:
    question, _weaken, strong, usual = WORDS[connection.vendor]
    with on_disk():
        assert asked(question) == strong
    assert asked(question) == usual


def test_an_error_within_leaves_other_transactions_as_they_were(weak: None) -> None:
    question, _weaken, _strong, usual = WORDS[connection.vendor]
    with pytest.raises(ValueError, match="no"), on_disk():
        raise ValueError("no")
    assert asked(question) == usual
    assert not Run.objects.exists()


def test_a_run_is_claimed_on_disk(weak: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    seen: list[str] = []
    hold = admission.hold_services

    def look_and_hold(run: Run) -> None:
        seen.append(asked(WORDS[connection.vendor][0]))
        hold(run)

    monkeypatch.setattr("scenarios.runs.admission.hold_services", look_and_hold)
    assert leases.claim_run(run.id, run.attempt, worker="a:1") is not None
    assert seen == [WORDS[connection.vendor][2]]
