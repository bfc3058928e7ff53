"""The kinds of events: what is stored, what is documented, and that nothing else names them."""

import re
from pathlib import Path

from scenarios.domain.event_fields import FIELDS
from scenarios.domain.event_kinds import STEP_OUTCOMES, EventKind, Topic, find_kinds, parse_kind

PROJECT = Path(__file__).parents[4]
# Rows of earlier versions hold these: a member may be added, but none renamed or removed.
STORED_KINDS = """
approval_asked run_approved run_started run_taken_over run_queued_again run_finished phase_started
phase_finished
action_started action_finished action_failed validation_started validation_holding validation_not_holding
validation_passed validation_failed validation_errored guard_tripped fault_injecting fault_injected
fault_not_injected fault_undone fault_unverified fault_watched fault_undo_failed fault_waiting_for_host
fault_acknowledged rollback_started
"""


def test_kinds_of_stored_rows_are_all_known() -> None:
    assert [kind for kind in STORED_KINDS.split() if parse_kind(kind) is None] == []


def test_an_unknown_kind_of_another_version_is_read_as_none() -> None:
    assert parse_kind("phase_skipped") is None


def test_kinds_fit_their_column() -> None:
    assert max(map(len, EventKind)) <= 40


def test_every_kind_has_one_topic() -> None:
    assert sum(len(find_kinds(topic)) for topic in Topic) == len(EventKind)
    assert EventKind.FAULT_WATCHED in find_kinds(Topic.FAULT)


def test_only_steps_have_outcomes() -> None:
    assert {kind.topic for kind in STEP_OUTCOMES} == {Topic.ACTION, Topic.VALIDATION, Topic.GUARD}


def test_docs_list_every_kind() -> None:
    table = "".join(
        f"| `{kind}` | {kind.description} | {', '.join(f'`{name}`' for name in FIELDS[kind])} |\n"
        for kind in EventKind
    )
    assert table in (PROJECT / "docs/api.md").read_text(), f"docs/api.md must hold this table:\n{table}"


def test_no_module_names_a_kind_as_a_plain_string() -> None:
    named = re.compile(f"[\"']({'|'.join(EventKind)})[\"']")
    sources = (PROJECT / "scenarios").rglob("*.py")
    found = [
        f"{path.relative_to(PROJECT)}: {match[0]}"
        for path in sources
        if path.name != "event_kinds.py" and "migrations" not in path.parts
        for match in named.finditer(path.read_text())
    ]
    assert found == []
