"""What the command line adds to the sentence of an error: what the person can do, or look at."""

from coordinator_client.command_line.coordinator import BEING_DELETED
from coordinator_client.command_line.verbs import Session
from coordinator_client.command_line.wording import quote_command
from coordinator_client.errors import CoordinatorError, NotAuthenticatedError


def add_hint(session: Session, error: CoordinatorError) -> str:
    if error.code == BEING_DELETED:
        return f"{error} {quote_command('keep NAME')} withdraws the deletion."
    if isinstance(error, NotAuthenticatedError) and (source := session.token_source):
        return f"{error} The token came from {source}."
    return str(error)
