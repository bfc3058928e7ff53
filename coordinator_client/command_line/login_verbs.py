"""The verbs login and logout, which store the address and the token of a coordinator as a profile."""

import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from coordinator_client.addresses import check_address
from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.coordinator import CommandRefused
from coordinator_client.command_line.terminal import Terminal, escape_text, format_minute
from coordinator_client.command_line.verbs import Place, Session, add_completed, add_verb
from coordinator_client.errors import NotAuthenticatedError
from coordinator_client.profiles import PROFILE_VARIABLE, SERVER_VARIABLE, find_profile, read_profiles
from coordinator_client.records import Identity

if TYPE_CHECKING:
    from coordinator_client.synchronous.client import Client

LOGIN_HELP = (
    "Store the address and the token of a coordinator as a profile. The token is asked for, or read from "
    "standard input."
)
MAX_TOKEN_LENGTH = 10_000


def add_to(verbs: Any) -> None:
    login = add_verb(verbs, log_in, "login", LOGIN_HELP)
    login.add_argument(
        "url",
        nargs="?",
        default="",
        metavar="URL",
        help="The address, as https://coordinator.example (default: that of the profile).",
    )
    login.add_argument(
        "--default", action="store_true", help="Make it the default, as the first profile is anyway."
    )
    logout = add_verb(verbs, log_out, "logout", "Remove a profile with its token, which stays valid.")
    add_completed(
        logout, "name", completion.complete_profiles, metavar="PROFILE", help_text="The name of the profile."
    )


def log_in(session: Session, url: str, *, default: bool, **_options: Any) -> int:
    """The token is stored only if the coordinator accepts it."""
    from coordinator_client.command_line.patience import choose_timeout  # noqa: PLC0415 - only for this verb
    from coordinator_client.profile_file import store_profile  # noqa: PLC0415 - only for this verb
    from coordinator_client.synchronous.client import Client  # noqa: PLC0415

    tables = read_profiles()
    name, table = _build_profile(session.place, url)
    table["token"] = _read_token(table["server"])
    timeout = choose_timeout(session.place.request_timeout)
    with Client(table["server"], table["token"], authority=table.get("ca", ""), timeout=timeout) as client:
        identity = _check_token(client)
    is_first = not any(isinstance(found, dict) for found in tables.values())
    is_default = default or is_first or tables.get("default") == name
    file = store_profile(name, table, as_default=is_default)
    described = {"profile": name, "server": table["server"], "user": identity.user, "file": str(file)}
    sentence = _describe_login(identity, name, str(file), is_default=is_default)
    session.terminal.result({**described, "default": is_default}, sentence)
    _warn_of_variables(session.terminal)
    return exit_codes.DONE


def _check_token(client: "Client") -> Identity:
    try:
        return client.whoami()
    except NotAuthenticatedError as error:
        raise NotAuthenticatedError(
            f"{client.server} does not accept this token, so nothing was stored. "
            f"Create one in the control room: {client.server}/admin/",
            status=error.status or 0,
            code=error.code,
        ) from error


def log_out(session: Session, name: str, **_options: Any) -> int:
    from coordinator_client.profile_file import remove_profile  # noqa: PLC0415 - only for this verb

    file = remove_profile(name)
    sentence = f"Removed the profile {escape_text(name)} from {escape_text(file)}."
    session.terminal.result({"removed": name, "file": str(file)}, sentence)
    return exit_codes.DONE


def _build_profile(place: Place, url: str) -> tuple[str, dict[str, str]]:
    """The name of the profile and its table, without a token.

    Raises:
        CommandRefused: no address is given, or two are.
        SettingsError: the address is invalid.
    """
    if url and place.server and url != place.server:
        raise CommandRefused("Give one address: either URL or '--server'.")
    server, authority = url or place.server, place.authority
    if not server and place.profile:
        found = find_profile(place.profile)
        server, authority = found.server, authority or found.authority
    if not server:
        raise CommandRefused("Give the address of the coordinator, for example https://coordinator.example.")
    server = check_address(server)
    table = {"server": server}
    if authority:
        table["ca"] = os.path.abspath(authority)  # noqa: PTH100 - Path would resolve links
    return place.profile or _name_profile(server), table


def _name_profile(server: str) -> str:
    """The host, with the port where there is one: two coordinators on a machine have two profiles."""
    parts = urlsplit(server)
    host = str(parts.hostname)
    return f"{host}:{parts.port}" if parts.port else host


def _read_token(server: str) -> str:
    """Never from an argument, because other users can see arguments."""
    if sys.stdin is not None and sys.stdin.isatty():
        from getpass import getpass  # noqa: PLC0415 - only for this verb

        print(f"Create a token in the control room: {server}/admin/", file=sys.stderr)  # noqa: T201
        try:
            token = getpass("Token: ").strip()
        except EOFError:
            token = ""
    else:
        line = b"" if sys.stdin is None else sys.stdin.buffer.readline(MAX_TOKEN_LENGTH)
        token = line.decode("ascii", "replace").strip()
    if not token:
        raise CommandRefused("No token was given; type it, or pipe it in: login URL < FILE.")
    return token


def _describe_login(identity: Identity, name: str, file: str, *, is_default: bool) -> str:
    token = identity.token
    ends = f", until {format_minute(token.expires_at)} UTC" if token and token.expires_at else ""
    use = "it is the default" if is_default else f"use it with '--profile {name}'"
    return (
        f"Logged in as [bold]{escape_text(identity.user)}[/bold]{ends}. "
        f"The profile {escape_text(name)} is stored in {escape_text(file)}; {escape_text(use)}."
    )


def _warn_of_variables(terminal: Terminal) -> None:
    for variable in (PROFILE_VARIABLE, SERVER_VARIABLE):
        if os.environ.get(variable):
            terminal.errors.print(f"{variable} is set, and takes precedence over the default profile.")
