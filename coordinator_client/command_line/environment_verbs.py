"""The verb `environment`, with add, list, show and remove; and the option of other verbs that names one."""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.coordinator import CommandRefused, EnvironmentNotFound
from coordinator_client.command_line.environments import EnvironmentRequest
from coordinator_client.command_line.given_variables import read_variables
from coordinator_client.command_line.given_words import read_mapping
from coordinator_client.command_line.registered import find_earlier
from coordinator_client.command_line.terminal import escape_text
from coordinator_client.command_line.verbs import (
    Session,
    Verb,
    add_completed,
    add_group,
    add_unset_variables,
    add_vars_file,
    add_verb,
    check_unset,
)
from coordinator_client.command_line.wording import format_value, quote_command
from coordinator_client.errors import PermissionMissingError
from coordinator_client.records import Environment

VARIABLE_HELP = (
    "The value of a variable there; NAME alone takes it from the environment variable. Can be repeated. With "
    "'--replace', variables that are not named stay."
)


def add_to(verbs: Any) -> None:
    group = add_group(
        verbs, "environment", "Manage environments: where services are elsewhere, as in staging."
    )
    add = _add_named(group, add_environment, "add", "Store an environment.")
    add.add_argument(
        "--service",
        action="append",
        default=None,
        metavar="NAME=URL",
        dest="services",
        help="The address of a service there; can be repeated. With '--replace', replaces all of them.",
    )
    add.add_argument(
        "--protect",
        action="append",
        default=[],
        metavar="NAME",
        dest="protected",
        help="Runs that act on this service there need the approval of a second person; can be repeated.",
    )
    add.add_argument(
        "--proxy",
        action="append",
        default=[],
        metavar="NAME=CONTROL_URL",
        dest="proxies",
        help="The control API of the fault proxy in front of a service there; can be repeated.",
    )
    add.add_argument(
        "--words",
        action="append",
        default=[],
        metavar="NAME=WORDS",
        help=(
            "More settings of a service there, in YAML, such as '{proxy_secret: FAULT_PROXY_STAGING, "
            "tls: {ca: staging.pem}}'; can be repeated."
        ),
    )
    add.add_argument(
        "--var", action="append", default=[], metavar="NAME[=VALUE]", dest="variables", help=VARIABLE_HELP
    )
    add_vars_file(add)
    add_unset_variables(add)
    add.add_argument("--description", metavar="TEXT")
    add.add_argument("--replace", action="store_true", help="Change what the options name; the rest stays.")
    add_verb(group, list_environments, "list", "List the environments.")
    _add_named(group, show_environment, "show", "Show an environment.")
    _add_named(group, remove_environment, "remove", "Remove an environment.")


def add_environment_option(parser: ArgumentParser) -> None:
    add_completed(
        parser,
        "--environment",
        completion.complete_environments,
        help_text="Use the addresses and the variables of this environment.",
        default="",
        metavar="NAME",
    )


def check_environment(session: Session, name: str | None) -> None:
    """Raise NotFound if there is no such environment; the coordinator says what else is wrong with it."""
    if name:
        with suppress(PermissionMissingError):
            stored = [found.name for found in session.coordinator.list_environments()]
            if name not in stored:
                raise EnvironmentNotFound(name, stored)


def _add_named(verbs: Any, function: Verb, name: str, help_text: str) -> ArgumentParser:
    parser = add_verb(verbs, function, name, help_text)
    add_completed(
        parser,
        "name",
        completion.complete_environments,
        metavar="NAME",
        help_text="The name of the environment, such as staging.",
    )
    return parser


def add_environment(
    session: Session,
    name: str,
    services: Sequence[str] | None,
    *,
    variables: list[str],
    vars_files: list[Path],
    unset: list[str],
    replace: bool,
    **options: Any,
) -> int:
    earlier = find_earlier(session.coordinator.find_environment, name, is_needed=False) if replace else None
    kept = earlier.variables if earlier is not None else {}
    check_unset(unset, kept, f"environment {name!r}")
    values = {**kept, **read_variables(variables, vars_files)}
    request = EnvironmentRequest(
        name,
        _read_services(services, options["protected"], options["proxies"], options["words"]),
        {key: value for key, value in values.items() if key not in unset},
        options["description"],
    )
    saved = session.coordinator.save_environment(request, replace=replace)
    named = ", ".join(saved.services) or "no services yet"
    words = f"Environment {saved.name} is stored, with {named}."
    if earlier is not None:
        words = f"Environment {saved.name} is {_describe_changes(earlier, saved)}."
    session.terminal.result(saved, escape_text(words))
    return exit_codes.DONE


def _describe_changes(earlier: Environment, saved: Environment) -> str:
    """Each service and variable that is new, gone or changed."""
    changes = _compare("service", earlier.services, saved.services)
    changes += _compare("variable", earlier.variables, saved.variables)
    if earlier.description != saved.description:
        changes.append("the description")
    return f"changed: {', '.join(changes)}" if changes else "as it was; nothing has changed"


def _compare(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    changes = [f"{kind} {name} removed" for name in before if name not in after]
    changes += [f"{kind} {name} added" for name in after if name not in before]
    for name in after:
        if name in before and before[name] != after[name]:
            is_shown = kind == "variable"  # a service may have many words
            values = f" from {format_value(before[name])} to {format_value(after[name])}" if is_shown else ""
            changes.append(f"{kind} {name}{values}")
    return changes


def _read_services(
    services: Sequence[str] | None, protected: Sequence[str], proxies: Sequence[str], words: Sequence[str]
) -> dict[str, dict[str, Any]] | None:
    if services is None and not protected and not proxies and not words:
        return None
    found: dict[str, dict[str, Any]] = {}
    for name, url in (_split("--service", word) for word in services or ()):
        if name in found:
            raise CommandRefused(f"'--service' gives {name!r} two addresses; give it one.")
        found[name] = {"base_url": url}
    for name, text in (_split("--words", word) for word in words):
        _find(found, "--words", name).update(read_mapping("--words", text) or {})
    for name in protected:
        _find(found, "--protect", name)["protected"] = True
    for name, url in (_split("--proxy", word) for word in proxies):
        _find(found, "--proxy", name)["proxy"] = url
    return found


def _split(option: str, word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not name or not value:
        # Without its value, which may be a password.
        shape = "NAME=WORDS" if option == "--words" else "NAME=URL"
        raise CommandRefused(f"Invalid '{option}' of {name!r}; write it as {shape}.")
    return name, value


def _find(services: dict[str, dict[str, Any]], option: str, name: str) -> dict[str, Any]:
    if name not in services:
        raise CommandRefused(f"'{option}' names {name!r}, which has no '--service {name}=URL'.")
    return services[name]


def list_environments(session: Session, **_options: Any) -> int:
    found = session.coordinator.list_environments()
    columns = {
        "Name": [environment.name for environment in found],
        "Services": [", ".join(environment.services) or "-" for environment in found],
        "Protected": ["yes" if environment.protected else "-" for environment in found],
        "Variables": [_format_values(environment) or "-" for environment in found],
    }
    command = quote_command("environment add NAME --service SERVICE=URL")
    session.terminal.rows(found, columns, empty=f"There are no environments; add one with {command}.")
    return exit_codes.DONE


def show_environment(session: Session, name: str, **_options: Any) -> int:
    found = session.coordinator.find_environment(name)
    lines = [f"[bold]{escape_text(found.name)}[/bold] {escape_text(found.description)}".strip()]
    for service, words in found.services.items():
        more = [word for word in (words.get("protected") and "protected",) if word]
        proxy = [f"behind the fault proxy at {words['proxy']}"] if words.get("proxy") else []
        lines.append(escape_text(", ".join([f"{service}: {words['base_url']}", *more, *proxy])))
    if found.variables:
        lines.append(f"Variables: {escape_text(_format_values(found))}")
    session.terminal.result(found, "\n".join(lines))
    return exit_codes.DONE


def remove_environment(session: Session, name: str, **_options: Any) -> int:
    session.coordinator.remove_environment(name)
    session.terminal.result({"removed": name}, f"Environment {escape_text(name)} is removed.")
    return exit_codes.DONE


def _format_values(environment: Environment) -> str:
    return ", ".join(f"{name}={format_value(value)}" for name, value in environment.variables.items())
