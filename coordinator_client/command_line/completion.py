"""Completion by the shell: scripts for bash, zsh and fish, and names that the coordinator knows.

argcomplete runs the program for each completion. It does not wait for a coordinator that responds late.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator_client.command_line.parser import StoreOnce
from coordinator_client.errors import CoordinatorError
from coordinator_client.profiles import find_profile_file, read_profile, read_profiles

if TYPE_CHECKING:
    from coordinator_client.records import Approval, Run
    from coordinator_client.synchronous.client import Client

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "test-coordinator"
TIMEOUT_SECONDS = 1.0
MAX_NAMES = 200
MAX_NUMBERED = 30
"""Runs and approvals: the newest are wanted, and nobody reads more."""
Names = Mapping[str, str]
"""What the shell may insert, with a description that zsh and fish show."""


@dataclass(frozen=True, slots=True)
class Source:
    """Asks this machine's coordinator; a kind is, for example, "scenarios"."""

    list_names: Callable[[str], Sequence[str]]
    list_runs: Callable[[str], Sequence["Run"]]
    list_approvals: Callable[[], Sequence["Approval"]]
    read_document: Callable[[str], str]


_local: Source | None = None


def use_local_names(source: Source) -> None:
    """Where no server is named, complete what this machine's coordinator has."""
    global _local  # noqa: PLW0603 - a process completes one line
    _local = source


def complete_scenarios(prefix: str, parsed_args: Any, **_named: Any) -> Names:
    return _ask(parsed_args, "scenarios", prefix)


def complete_schedules(prefix: str, parsed_args: Any, **_named: Any) -> Names:
    return _ask(parsed_args, "schedules", prefix)


def complete_suites(prefix: str, parsed_args: Any, **_named: Any) -> Names:
    return _ask(parsed_args, "suites", prefix)


def complete_services(prefix: str, parsed_args: Any, **_named: Any) -> Names:
    return _ask(parsed_args, "services", prefix)


def complete_environments(prefix: str, parsed_args: Any, **_named: Any) -> Names:
    return _ask(parsed_args, "environments", prefix)


def complete_hosts(prefix: str, parsed_args: Any, **_named: Any) -> Names:
    return _ask(parsed_args, "hosts", prefix)


def complete_webhooks(prefix: str, parsed_args: Any, **_named: Any) -> Names:
    return _ask(parsed_args, "webhooks", prefix)


def complete_runs(prefix: str, parsed_args: Any, **_named: Any) -> Names:
    """The newest first."""
    return _ask(parsed_args, "runs", prefix)


def complete_approvals(prefix: str, parsed_args: Any, **_named: Any) -> Names:
    return _ask(parsed_args, "approvals", prefix)


def complete_scenarios_and_files(prefix: str, parsed_args: Any, **_named: Any) -> Names:
    is_file = "/" in prefix or "." in prefix
    names = {} if is_file else _ask(parsed_args, "scenarios", prefix)
    return names or dict.fromkeys(_list_files(prefix), "")


def complete_variables(prefix: str, parsed_args: Any, **_named: Any) -> Names:
    """`NAME=` for each variable of the scenario, or of the document, that the line names."""
    words = [str(word) for word in (getattr(parsed_args, "scenario", ""), *getattr(parsed_args, "files", ()))]
    subject = next(filter(None, words), "")
    if not subject or "=" in prefix:
        return {}
    try:
        is_file = "/" in subject or "." in subject
        document = Path(subject).read_text() if is_file else _read_document(parsed_args, subject)
    except (CoordinatorError, OSError, UnicodeDecodeError):
        return {}
    return {f"{name}=": text for name, text in _list_variables(document).items()}


def complete_profiles(prefix: str, **_named: Any) -> list[str]:
    try:
        tables = read_profiles()
    except CoordinatorError:
        return []
    return [name for name, table in tables.items() if isinstance(table, dict) and name.startswith(prefix)]


def complete_files(prefix: str, action: Any, **_named: Any) -> Sequence[str]:
    """What has no completer of its own is completed by files only if it is one."""
    is_file = action.type is Path or action.metavar == "FILE"
    return _list_files(prefix) if is_file else ()


def _list_files(prefix: str) -> Sequence[str]:
    from argcomplete.completers import FilesCompleter  # noqa: PLC0415 - as below

    return list(FilesCompleter()(prefix))


def _list_variables(document: str) -> dict[str, str]:
    """The names of the document's variables, with what they are for."""
    import yaml  # noqa: PLC0415 - only where it is needed

    try:
        variables = yaml.safe_load(document)["spec"]["variables"]
        return {
            str(name): str(how.get("description", "")) if isinstance(how, dict) else ""
            for name, how in variables.items()
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, RecursionError, ValueError):
        return {}


def _is_local(options: Any) -> bool:
    return _local is not None and not (getattr(options, "server", "") or getattr(options, "profile", ""))


def _ask(options: Any, kind: str, prefix: str) -> Names:
    try:
        if _local is not None and _is_local(options):
            found = _list_local(_local, kind, prefix)
        else:
            with _connect(options) as client:
                found = _list_remote(client, kind, prefix)
    except CoordinatorError:
        return {}  # a shell has no place for an error
    return {name: text for name, text in found.items() if name.startswith(prefix)}


def _read_document(options: Any, name: str) -> str:
    if _local is not None and _is_local(options):
        return _local.read_document(name)
    with _connect(options) as client:
        return client.scenarios.get(name).document


def _list_local(source: Source, kind: str, prefix: str) -> Names:
    if kind == "runs":
        return _describe_runs(source.list_runs(prefix), prefix)
    if kind == "approvals":
        return _describe_approvals(source.list_approvals())
    return dict.fromkeys(source.list_names(kind), "")


def _list_remote(client: "Client", kind: str, prefix: str) -> Names:
    if kind == "runs":
        return _describe_runs(client.runs.list(id_prefix=prefix, limit=MAX_NUMBERED), prefix)
    if kind == "approvals":
        return _describe_approvals(client.approvals.list(limit=MAX_NUMBERED))
    found = getattr(client, kind).list(limit=MAX_NAMES)
    return {item.name: getattr(item, "title", "") for item in found}


def _describe_runs(runs: Sequence["Run"], prefix: str) -> Names:
    return {
        run.short_id if run.short_id.startswith(prefix) else run.id: (
            f"{run.scenario}, {run.verdict}, {run.created_at:%Y-%m-%d %H:%M:%S}"
        )
        for run in runs
    }


def _describe_approvals(approvals: Sequence["Approval"]) -> Names:
    return {str(found.id): f"{found.scenario}, {found.state}" for found in approvals}


def _connect(options: Any) -> "Client":
    from coordinator_client.synchronous.client import Client  # noqa: PLC0415 - slow to import

    profile = read_profile(
        getattr(options, "profile", ""),
        server=getattr(options, "server", ""),
        authority=getattr(options, "authority", ""),
    )
    return Client(
        profile.server, profile.token, authority=profile.authority, timeout=TIMEOUT_SECONDS, tries=1
    )


def write_script(shell: str, program: str = PROGRAM) -> str:
    from argcomplete import shell_integration  # noqa: PLC0415 - needed by this verb only

    # Without files where names are wanted. `manage.py` has commands of Django, too, which take files.
    script = str(shell_integration.shellcode([program], shell=shell, use_defaults=program != PROGRAM))
    return _keep_order(script) if shell == "bash" else script


def _keep_order(script: str) -> str:
    """The newest run comes first also in bash, from its version 4.4 on."""
    registered = next(line for line in script.splitlines() if line.lstrip().startswith("complete -o "))
    kept = registered.replace(" -F ", " -o nosort -F ")
    return script.replace(registered, f"{kept} 2> /dev/null || {registered.lstrip()}")


def start(parser: Any) -> None:
    """Answer a shell that asks for completions, and exit; else return at once."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete  # noqa: PLC0415 - the shell has asked
    from argcomplete.finders import safe_actions  # noqa: PLC0415 - as above

    safe_actions.add(StoreOnce)  # values such as that of '--server' are needed
    argcomplete.autocomplete(
        parser,
        always_complete_options=False,
        default_completer=complete_files,  # type: ignore[arg-type] # any function will do
    )


def describe_file() -> str:
    return str(find_profile_file() or "(there is no home folder)")
