"""What the verbs say of deletions that the watchdog carries out, and of their withdrawal."""

from coordinator_client.command_line import exit_codes
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.wording import quote_command
from coordinator_client.records import Deletion


def show_deletion(terminal: Terminal, deletion: Deletion, keep: str) -> int:
    """`keep` is the command that withdraws it."""
    sentence = (
        f"{deletion.kind.capitalize()} {escape_text(deletion.name)} is being deleted by the watchdog, "
        f"because many rows refer to it: {deletion.left} of {deletion.total} are left. The same command "
        f"shows how far it is, and {escape_text(quote_command(keep))} withdraws it."
    )
    if deletion.waiting_for:
        sentence += f" It does not go on: {escape_text(deletion.waiting_for)}."
    terminal.result({"being_deleted": deletion}, sentence)
    return exit_codes.DONE


def show_kept(terminal: Terminal, withdrawn: Deletion) -> int:
    kind, name = withdrawn.kind.capitalize(), escape_text(withdrawn.name)
    sentence = f"{kind} {name} is kept: its deletion is withdrawn."
    if gone := withdrawn.total - withdrawn.left:
        sentence += f" {gone} of {withdrawn.total} rows no longer refer to it, and this stays so."
    terminal.result({"kept": withdrawn.name, "deletion": withdrawn}, sentence)
    return exit_codes.DONE
