"""The verbs acknowledge and whoami, and `approval` and `token`."""

import shlex
from collections.abc import Sequence
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.history_verbs import add_limit, check_limit
from coordinator_client.command_line.terminal import escape_text, format_minute
from coordinator_client.command_line.verbs import (
    Session,
    Verb,
    add_completed,
    add_group,
    add_person,
    add_verb,
    parse_number,
)
from coordinator_client.command_line.wording import format_value, quote_command
from coordinator_client.records import Approval, PlannedStep

STATES = ("pending", "approved", "refused", "expired", "withdrawn")


def add_to(verbs: Any) -> None:
    acknowledge = add_verb(
        verbs,
        acknowledge_fault,
        "acknowledge",
        "Close an outstanding fault without an undo, on your responsibility.",
    )
    acknowledge.add_argument(
        "fault", type=parse_number, metavar="FAULT", help="The number that 'faults' shows."
    )
    acknowledge.add_argument("--reason", required=True, help="The reason; it is stored with the fault.")
    add_verb(verbs, whoami, "whoami", "Show the user, the token and what it permits.")
    _add_approval_verbs(add_group(verbs, "approval", "Approve or refuse what touches protected services."))
    tokens = add_group(verbs, "token", "List and revoke your API tokens.")
    add_verb(tokens, list_tokens, "list", "List your tokens, without their secrets.")
    revoke = add_verb(tokens, revoke_token, "revoke", "Revoke a token for good.")
    revoke.add_argument("token", metavar="TOKEN", help="Its number, or its beginning, as 'list' shows it.")


def _add_approval_verbs(verbs: Any) -> None:
    listing = add_verb(verbs, list_approvals, "list", "List the approvals; those that wait come first.")
    listing.add_argument("--state", default="", choices=STATES, help="List only approvals in this state.")
    add_limit(listing)
    _add_approval(verbs, show_approval, "show", "Show what would be carried out.")
    approve_parser = _add_approval(verbs, approve, "approve", "Approve it, so that the run may start.")
    approve_parser.add_argument("--reason", default="", help="The reason; it is stored with the approval.")
    refuse_parser = _add_approval(verbs, refuse, "refuse", "Refuse it; a waiting run ends.")
    refuse_parser.add_argument("--reason", required=True, help="The reason; the requester sees it.")
    for parser in (approve_parser, refuse_parser):
        add_person(parser)


def _add_approval(verbs: Any, function: Verb, name: str, help_text: str) -> Any:
    parser = add_verb(verbs, function, name, help_text)
    add_completed(
        parser,
        "approval",
        completion.complete_approvals,
        help_text="The number that 'list' shows.",
        type=parse_number,
        metavar="APPROVAL",
    )
    return parser


def acknowledge_fault(session: Session, fault: int, reason: str, **_options: Any) -> int:
    closed = session.coordinator.acknowledge_fault(fault, reason)
    session.terminal.result(closed, f"Fault {closed.id} ({escape_text(closed.action)}) is acknowledged.")
    return exit_codes.DONE


def whoami(session: Session, **_options: Any) -> int:
    found = session.coordinator.whoami()
    lines = [f"[bold]{escape_text(found.user)}[/bold], {escape_text(session.coordinator.place)}"]
    if found.token is not None:
        end = found.token.expires_at
        ends = f"until {format_minute(end)} UTC" if end else "without an end"
        lines.append(f"Token {escape_text(found.token.name)} ({found.token.beginning}…), {ends}")
        lines.append(f"Scopes: {', '.join(map(escape_text, found.token.scopes))}")
    session.terminal.result(found, "\n".join(lines))
    return exit_codes.DONE


def list_approvals(session: Session, state: str, limit: int, **_options: Any) -> int:
    found = session.coordinator.list_approvals(state, check_limit(limit))
    columns: dict[str, list[object]] = {
        "Approval": [approval.id for approval in found],
        "State": [approval.state for approval in found],
        "Scenario": [approval.scenario for approval in found],
        "For": [
            f"run {approval.run[:8]}" if approval.run else approval.schedule or "-" for approval in found
        ],
        "Services": [", ".join(approval.services) for approval in found],
        "Asked by": [approval.asked_by or "-" for approval in found],
        "Reason": [approval.reason for approval in found],
    }
    session.terminal.rows(found, columns, empty="No approvals match.")
    return exit_codes.DONE


def show_approval(session: Session, approval: int, **_options: Any) -> int:
    found = session.coordinator.find_approval(approval)
    if session.terminal.wants_json:
        session.terminal.document(found)
        return exit_codes.DONE
    session.terminal.say(
        f"[bold]{escape_text(found.scenario)}[/bold], {escape_text(found.state)}, requested by "
        f"{escape_text(found.asked_by or '-')}; touches {escape_text(', '.join(found.services))}"
    )
    session.terminal.say(_describe_subject(found))
    if found.problem:
        session.terminal.say(f"[red]{escape_text(found.problem)}[/red]")
    show_steps(session, found.steps)
    return exit_codes.DONE


def _describe_subject(approval: Approval) -> str:
    if approval.schedule:
        command = quote_command(f"schedule show {shlex.quote(approval.schedule)}")
        return escape_text(f"For every run of the schedule {approval.schedule}; show it with {command}.")
    variables = ", ".join(f"{name}={format_value(value)}" for name, value in approval.variables.items())
    given = f", with {variables}" if variables else ""
    return escape_text(f"For the run {(approval.run or '')[:8]} alone{given}.")


def show_steps(session: Session, steps: Sequence[PlannedStep]) -> None:
    phase = None
    for step in steps:
        if step.phase != phase:
            phase = step.phase
            session.terminal.say(f"[bold]{escape_text(phase)}[/bold]")
        note = f", {step.note}" if step.note else ""
        session.terminal.say(
            f"  {step.role}: {escape_text(step.name)} ({escape_text(step.driver)}){escape_text(note)}"
        )
        for line in step.arguments.rstrip().splitlines():
            session.terminal.say(f"      {escape_text(line)}")


def approve(session: Session, approval: int, reason: str, by: str, **_options: Any) -> int:
    return _decide(session, approval, reason, by, approved=True)


def refuse(session: Session, approval: int, reason: str, by: str, **_options: Any) -> int:
    return _decide(session, approval, reason, by, approved=False)


def _decide(session: Session, approval: int, reason: str, by: str, *, approved: bool) -> int:
    decided = session.coordinator.decide_approval(approval, reason, by, approved=approved)
    session.terminal.result(decided, f"Approval {decided.id} is {escape_text(decided.state)}.")
    return exit_codes.DONE


def list_tokens(session: Session, **_options: Any) -> int:
    found = session.coordinator.list_tokens()
    own = session.coordinator.whoami().token
    columns: dict[str, list[object]] = {
        "Id": [token.id for token in found],
        "Token": [f"{token.beginning}…" for token in found],
        "Owner": [token.owner or "you" for token in found],
        "State": [token.state for token in found],
        "Scopes": [",".join(token.scopes) for token in found],
        "Ends (UTC)": [format_minute(token.expires_at) if token.expires_at else "never" for token in found],
        "Name": [token.name for token in found],
        "Used now": ["yes" if own and own.id == token.id else "-" for token in found],
    }
    session.terminal.rows(found, columns, empty="There are no tokens.")
    return exit_codes.DONE


def revoke_token(session: Session, token: str, **_options: Any) -> int:
    revoked = session.coordinator.revoke_token(token)
    words = f"Token {escape_text(revoked.name)} ({revoked.beginning}…) is revoked."
    session.terminal.result({"revoked": revoked.id}, words)
    return exit_codes.DONE
