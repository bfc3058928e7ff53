"""What `--help` of the whole program shows: the verbs by subject, the environment and the exit codes."""

from argparse import ArgumentParser, HelpFormatter
from collections.abc import Mapping, Sequence
from typing import Any

from coordinator_client.command_line.parser import VerbParser

SUBJECTS: Mapping[str, Sequence[str]] = {
    "scenarios": (
        *("list", "show", "validate", "import", "export", "edit", "delete", "keep", "versions"),
        "revert",
    ),
    "runs": ("run", "plan", "follow", "runs", "status", "report", "compare", "events", "stop", "release"),
    "faults": ("faults", "undo", "acknowledge"),
    "schedules and suites": ("schedule", "schedules", "pause", "resume", "suite"),
    "services and places": ("service", "host", "environment", "allow-list"),
    "people and programs": ("approval", "webhook", "token", "whoami"),
    "this program": ("login", "logout", "profiles", "api", "version", "completion", "help"),
}
VARIABLES = """\
environment variables:
  TEST_COORDINATOR_SERVER           the address of the coordinator
  TEST_COORDINATOR_PROFILE          the profile to use
  TEST_COORDINATOR_TOKEN            the token, or TEST_COORDINATOR_TOKEN_FILE: a file with it
  TEST_COORDINATOR_REQUEST_TIMEOUT  how long a request may take, as '--request-timeout'
  VISUAL, EDITOR                    the editor of 'edit'
  NO_COLOR                          if set, no colours and no bold text
  SSL_CERT_FILE                     certificates to trust, as '--ca'
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY the proxy on the way to the coordinator
"""
EXIT_CODES = """\
exit codes:
  0  done; of 'run' and 'follow': passed       6    interrupted
  1  failed; a check found something wrong     7    what is named does not exist
  2  wrong usage, or the request is refused    8    no valid token, or not permitted
  3  errored, or a fault is still injected     9    no response from the coordinator
  4  aborted                                   124  'follow --timeout' has passed
  5  timed out                                 130  ended by Ctrl-C
"""


class UnwrappedEpilog(HelpFormatter):
    """Keeps the lines of the epilog as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        is_epilog = text.startswith((VARIABLES, EXIT_CODES))
        return text if is_epilog else super()._fill_text(text, width, indent)


def build_epilog(hint: str = "") -> str:
    return "\n".join(filter(None, (VARIABLES, EXIT_CODES, hint)))


class ProgramParser(VerbParser):
    """Shows its verbs by subject."""

    def format_help(self) -> str:
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        shown = {action.dest: action for action in find_verbs(self)}
        for subject, names in SUBJECTS.items():
            formatter.start_section(subject)
            formatter.add_arguments([shown.pop(name) for name in names if name in shown])
            formatter.end_section()
        formatter.start_section("others")  # an empty section is not shown
        formatter.add_arguments(list(shown.values()))
        formatter.end_section()
        formatter.start_section("options")
        formatter.add_arguments([action for action in self._actions if action.option_strings])
        formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()


def find_verbs(parser: ArgumentParser) -> Sequence[Any]:
    """What the parser shows of each verb: `dest` is its name."""
    actions = parser._actions  # noqa: SLF001 - there is no public way to its verbs
    return [verb for action in actions for verb in getattr(action, "_choices_actions", ())]
