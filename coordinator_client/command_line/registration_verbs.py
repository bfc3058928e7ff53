"""The verbs `service` and `host`, each with add, list, test and remove."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.confirmation import add_yes, confirm
from coordinator_client.command_line.coordinator import CommandRefused
from coordinator_client.command_line.given_words import read_mapping
from coordinator_client.command_line.parser import ChooseOnce
from coordinator_client.command_line.registered import (
    describe_changes,
    find_earlier,
    format_labels,
    format_value,
)
from coordinator_client.command_line.registrations import HostRequest, ServiceRequest
from coordinator_client.command_line.terminal import escape_text
from coordinator_client.command_line.verbs import Completer, Session, Verb, add_completed, add_group, add_verb
from coordinator_client.command_line.wording import format_names, quote_command
from coordinator_client.records import Check, DiscoveredService, Host, Service

WEB_SCHEMES = ("http", "https")
REPLACE_HELP = "Change a registered one. Without this, its name must be new."
PROTECTED_HELP = "Runs that act on it start only after a second person has approved them."


def add_to(verbs: Any) -> None:
    _add_service_verbs(add_group(verbs, "service", "Register services, and check them."))
    _add_host_verbs(add_group(verbs, "host", "Register machines to inject faults on, and check them."))


def _add_service_verbs(verbs: Any) -> None:
    add = _add_named(verbs, add_service, "add", "Register a service.", "service")
    add.add_argument(
        "--url",
        metavar="URL",
        help="As http://HOST:PORT or tcp://HOST:PORT; not needed with '--replace'.",
    )
    add.add_argument("--proxy", metavar="CONTROL_URL", help="The control API of its fault proxy.")
    add.add_argument(
        "--proxy-listener", metavar="HOST:PORT", help="Its listener there (default: the proxy's only one)."
    )
    add.add_argument(
        "--proxy-secret",
        metavar="NAME",
        help="The secret with the proxy's token (default: FAULT_PROXY_TOKEN).",
    )
    add.add_argument("--health", metavar="PATH", help="The path to request for its health.")
    add.add_argument(
        "--tls", metavar="WORDS", help="For steps without 'tls', in YAML: '{ca: shop.pem}'; '{}' removes it."
    )
    add.add_argument(
        "--auth",
        metavar="WORDS",
        help="For steps without 'auth', in YAML: '{bearer: \"${secret:SERVICE_SHOP}\"}'; '{}' removes it.",
    )
    _add_common(add)
    add_verb(verbs, list_services, "list", "List the services.")
    _add_named(verbs, show_service, "show", "Show a service.", "service")
    _add_named(verbs, test_service, "test", "Check its address, its health and its fault proxy.", "service")
    add_yes(_add_removal(verbs, remove_service, "Remove a service and its chart queries.", "service"))
    discover = add_verb(
        verbs, discover_services, "discover", "List services of compose projects that can be registered."
    )
    discover.add_argument(
        "--engine", default="", metavar="NAME", help="One of CONTAINER_ENGINES (default: all)."
    )
    discover.add_argument("--project", default="", metavar="NAME", help="A compose project (default: all).")


def _add_host_verbs(verbs: Any) -> None:
    add = _add_named(verbs, add_host, "add", "Register a host.", "host")
    add.add_argument(
        "--ssh", metavar="USER@HOST[:PORT]", help="Where SSH reaches it (default: the worker's own machine)."
    )
    add.add_argument(
        "--label",
        action="append",
        dest="labels",
        metavar="KEY=VALUE",
        help="A label by which scenarios select it; can be repeated. With '--replace', replaces all of them.",
    )
    _add_common(add)
    add_verb(verbs, list_hosts, "list", "List the hosts.")
    _add_named(verbs, show_host, "show", "Show a host.", "host")
    _add_named(verbs, test_host, "test", "Check whether the coordinator reaches the host.", "host")
    _add_removal(verbs, remove_host, "Remove a host.", "host")


def _add_named(verbs: Any, function: Verb, name: str, help_text: str, kind: str) -> ArgumentParser:
    return _add_name(add_verb(verbs, function, name, help_text), kind)


def _add_removal(verbs: Any, function: Verb, help_text: str, kind: str) -> ArgumentParser:
    return _add_name(add_verb(verbs, function, "remove", help_text, aliases=["delete"]), kind)


def _add_name(parser: ArgumentParser, kind: str) -> ArgumentParser:
    completer: Completer = completion.complete_services if kind == "service" else completion.complete_hosts
    add_completed(parser, "name", completer, metavar="NAME", help_text=f"The {kind}'s name.")
    return parser


def _add_common(parser: ArgumentParser) -> None:
    parser.add_argument("--description", metavar="TEXT")
    parser.add_argument("--protected", action=ChooseOnce, default=None, help=PROTECTED_HELP)
    parser.add_argument("--replace", action="store_true", help=REPLACE_HELP)


def add_service(session: Session, name: str, url: str | None, *, replace: bool, **options: Any) -> int:
    if url is None and not replace:
        raise CommandRefused("A new service needs its address; give it with '--url'.")
    earlier = find_earlier(session.coordinator.find_service, name, is_needed=url is None) if replace else None
    if url is None and earlier is not None:
        url = earlier.base_url
    url = url or ""
    if options["health"] is not None and url.partition("://")[0].lower() not in WEB_SCHEMES:
        raise CommandRefused(
            f"{url!r} is not an HTTP address, so it has no health path; leave '--health' out."
        )
    saved = session.coordinator.save_service(
        ServiceRequest(
            name=name,
            base_url=url,
            description=options["description"],
            health_path=options["health"],
            protected=options["protected"],
            proxy=options["proxy"],
            proxy_listener=options["proxy_listener"],
            proxy_secret=options["proxy_secret"],
            tls=read_mapping("--tls", options["tls"]),
            auth=read_mapping("--auth", options["auth"]),
        ),
        replace=replace,
    )
    words = f"Service {escape_text(saved.name)} is registered at {escape_text(saved.base_url)}"
    proxy = f", behind the fault proxy at {escape_text(saved.proxy)}" if saved.proxy else ""
    return _show_saved(session, saved, describe_changes(earlier, saved) or f"{words}{proxy}.")


def list_services(session: Session, **_options: Any) -> int:
    found = session.coordinator.list_services()
    columns = {
        "Name": [service.name for service in found],
        "URL": [service.base_url for service in found],
        "Fault proxy": [
            " ".join(filter(None, (service.proxy, service.proxy_listener))) or "-" for service in found
        ],
        "Protected": ["yes" if service.protected else "-" for service in found],
        "Held by": [service.held_by[:8] if service.held_by else "-" for service in found],
    }
    command = quote_command("service add NAME --url URL")
    hint = f"No services are registered; register one with {command}."
    session.terminal.rows(found, columns, empty=hint)
    return exit_codes.DONE


def show_service(session: Session, name: str, **_options: Any) -> int:
    return _show_fields(session, session.coordinator.find_service(name))


def test_service(session: Session, name: str, **_options: Any) -> int:
    return _show_checks(session, "service", name, session.coordinator.check_service(name))


def remove_service(session: Session, name: str, *, yes: bool, **_options: Any) -> int:
    service = session.coordinator.find_service(name)
    users = format_names(sorted({*service.touched_by, *service.probed_by}), "scenario")
    if users:
        confirm(session.terminal, f"Remove service {name!r}, used by {users}?", yes=yes)
    session.coordinator.remove_service(name)
    if users:
        session.terminal.complain(f"Runs of {users} cannot start until {name!r} is registered again.")
    return _show_saved(session, {"removed": name}, f"Service {escape_text(name)} is removed.")


def discover_services(session: Session, engine: str, project: str, **_options: Any) -> int:
    """List them with what registers each one: nothing is registered by itself."""
    found = session.coordinator.discover_services(engine, project)
    columns = {
        "Project": [one.project or "-" for one in found.services],
        "Service": [one.service for one in found.services],
        "URLs": [" ".join(one.urls) or "-" for one in found.services],
        "To register it": [_describe_registration(one) for one in found.services],
    }
    empty = "" if found.failures else "No compose project with running containers was found."
    session.terminal.rows(found.services, columns, empty=empty)
    for sentence in found.failures:
        session.terminal.complain(sentence)
    return exit_codes.WRONG if found.failures else exit_codes.DONE


def _describe_registration(found: DiscoveredService) -> str:
    if found.registered:
        return f"registered as {found.registered}"
    return f"service add {found.name} --url {found.urls[0]}" if found.urls else "publish one of its ports"


def add_host(
    session: Session,
    name: str,
    ssh: str | None,
    labels: Sequence[str] | None,
    *,
    replace: bool,
    **options: Any,
) -> int:
    earlier = find_earlier(session.coordinator.find_host, name, is_needed=False) if replace else None
    saved = session.coordinator.save_host(
        HostRequest(
            name=name,
            address=ssh,
            labels=None if labels is None else parse_labels(labels),
            description=options["description"],
            protected=options["protected"],
        ),
        replace=replace,
    )
    place = f"at {escape_text(saved.address)}" if saved.address else "as the worker's own machine"
    sentence = f"Host {escape_text(saved.name)} is registered {place}."
    return _show_saved(session, saved, describe_changes(earlier, saved) or sentence)


def parse_labels(words: Sequence[str]) -> dict[str, str]:
    """The labels by name. A value may contain '='.

    Raises:
        CommandRefused: a label has no '=' or no name, or is given twice.
    """
    labels: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.strip():
            raise CommandRefused(f"Invalid '--label' {word!r}; write it as KEY=VALUE, for example role=shop.")
        if name in labels:
            raise CommandRefused(f"The label {name!r} is given twice; a host has one value for each name.")
        labels[name] = value
    return labels


def list_hosts(session: Session, **_options: Any) -> int:
    found = session.coordinator.list_hosts()
    columns = {
        "Name": [host.name for host in found],
        "SSH": [host.address or "the worker's own machine" for host in found],
        "Labels": [format_labels(host.labels) for host in found],
        "Protected": ["yes" if host.protected else "-" for host in found],
        "Held by": [host.held_by[:8] if host.held_by else "-" for host in found],
    }
    command = quote_command("host add NAME --ssh USER@HOST")
    hint = f"No hosts are registered; register one with {command}."
    session.terminal.rows(found, columns, empty=hint)
    return exit_codes.DONE


def show_host(session: Session, name: str, **_options: Any) -> int:
    return _show_fields(session, session.coordinator.find_host(name))


def test_host(session: Session, name: str, **_options: Any) -> int:
    return _show_checks(session, "host", name, session.coordinator.check_host(name))


def remove_host(session: Session, name: str, **_options: Any) -> int:
    session.coordinator.remove_host(name)
    return _show_saved(session, {"removed": name}, f"Host {escape_text(name)} is removed.")


def _show_fields(session: Session, found: Service | Host) -> int:
    """One line for each field that has a value."""
    values = {name: value for name, value in found.raw.items() if value not in (None, "", [], {})}
    lines = [f"{escape_text(name)}: {escape_text(format_value(value))}" for name, value in values.items()]
    session.terminal.result(found, "\n".join(lines))
    return exit_codes.DONE


def _show_saved(session: Session, facts: Any, markup: str) -> int:
    session.terminal.result(facts, markup)
    return exit_codes.DONE


def _show_checks(session: Session, kind: str, name: str, checks: Sequence[Check]) -> int:
    is_well = all(check.ok for check in checks)
    if session.terminal.wants_json:
        session.terminal.document({kind: name, "ok": is_well, "checks": checks})
    else:
        for check in checks:
            mark = "[green]ok[/green]   " if check.ok else "[red]wrong[/red]"
            session.terminal.say(f"{mark} {escape_text(check.subject)}: {escape_text(check.sentence)}")
    return exit_codes.DONE if is_well else exit_codes.WRONG
