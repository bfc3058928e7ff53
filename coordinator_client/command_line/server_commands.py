"""Hands commands of the server to it, where `pip install test-coordinator` has installed both."""

from collections.abc import Collection, Sequence

GROUP = "test_coordinator.server"
HINT = "The server is installed, too, with the commands up, scenario, migrate and others."


def hand_over(words: Sequence[str], verbs: Collection[str]) -> None:
    """Let the server carry out the command, if it is not one of the client's. Then this does not return."""
    if not words or words[0].startswith("-") or words[0] in verbs:
        return
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and not for the client's verbs

    for found in entry_points(group=GROUP):
        found.load()(words)


def find_hint(words: Sequence[str]) -> str:
    """What `--help` says about the server's commands."""
    if not {"-h", "--help"} & set(words[:1]):
        return ""
    from importlib.metadata import entry_points  # noqa: PLC0415 - as above

    return HINT if entry_points(group=GROUP) else ""
