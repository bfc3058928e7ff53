"""Values from the environment, each refused with its rule and a hint when it makes no sense."""

import ipaddress
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.core.exceptions import ImproperlyConfigured

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
MAX_PORT = 65535
HOST_NAME = re.compile(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# By these the dynamic linker, or a language's runtime, loads code from a file that the variable names.
LOADING_VARIABLES = frozenset(
    {"BASH_ENV", "ENV", "GCONV_PATH", "IFS", "NODE_OPTIONS", "NODE_PATH", "RUBYLIB", "RUBYOPT", "SHELLOPTS"}
)
LOADING_PREFIXES = ("DYLD_", "LD_", "PERL5", "PYTHON")
HOST_IDENTITY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,56}[A-Za-z0-9])?")
COMMAND_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def boolean(name: str, value: str) -> bool:
    """True or False; a misspelt word is refused, for a silent False is worse than a stop."""
    word = value.strip().lower()
    if word in TRUE_WORDS | FALSE_WORDS:
        return word in TRUE_WORDS
    raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false: write 'true' or 'false'.")


def whole_number(name: str, value: str, *, lowest: int, highest: int) -> int:
    if not re.fullmatch(r"[0-9]+", value.strip()) or not lowest <= int(value) <= highest:
        raise ImproperlyConfigured(f"{name}={value!r} is refused: a whole number from {lowest} to {highest}.")
    return int(value)


def one_of(name: str, value: str, choices: Iterable[str]) -> str:
    if value in choices:
        return value
    raise ImproperlyConfigured(f"{name}={value!r} is unknown: one of {', '.join(sorted(choices))}.")


def dns_label(name: str, value: str) -> str:
    if DNS_LABEL.fullmatch(value):
        return value
    raise ImproperlyConfigured(
        f"{name}={value!r} is not a DNS label: a-z, 0-9 and '-' inside, at most 63 characters, "
        f"as in 'test-coordinator'."
    )


def networks(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """IP networks in CIDR notation."""
    for value in values:
        try:
            ipaddress.ip_network(value)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} contains {value!r}, which is no network ({error}): write it as '10.0.0.0/8'."
            ) from error
    return tuple(values)


def web_address(name: str, value: str) -> str:
    """An http(s) URL, or nothing."""
    try:
        parts = urlsplit(value)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half a bracket, a port that is none
        fits = False
    if value and not fits:
        raise ImproperlyConfigured(
            f"{name}={value!r} is no web address: write it as 'http://127.0.0.1:9090'."
        )
    return value


def with_time_limits(redis_url: str) -> str:
    """The address of Redis, with seconds that an answer is waited for, unless it names its own.

    RQ's workers, which wait for messages, raise the limit for themselves.
    """
    parts = urlsplit(redis_url)
    limits = {"socket_timeout": "2", "socket_connect_timeout": "2"}
    query = {**limits, **dict(parse_qsl(parts.query, keep_blank_values=True))}
    return urlunsplit(parts._replace(query=urlencode(query)))


def host_names(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Hosts as in ALLOWED_HOSTS, but not all of them: '.example.com' is that name and what is below it."""
    for value in values:
        if not HOST_NAME.fullmatch(value):
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: each is a host's name without a port, as in "
                f"'hooks.example.com' or '.example.com'; all hosts at once cannot be named."
            )
    return tuple(value.lower() for value in values)


def host_identity(name: str, value: str) -> str:
    """The name of a host in the ledger, or nothing."""
    if value and not HOST_IDENTITY.fullmatch(value):
        raise ImproperlyConfigured(
            f"{name}={value!r} is refused: a host's name has letters, digits, '.', '-' and '_', and at most "
            f"58 characters, as in 'shop-1'."
        )
    return value


def host_identities(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Names of hosts, or '*' for all of them."""
    return tuple(value if value == "*" else host_identity(name, value) for value in values if value)


def pairs(name: str, values: Iterable[str]) -> dict[str, str]:
    """Of 'theirs=ours' each: names of groups there, and of groups here."""
    found: dict[str, str] = {}
    for value in values:
        theirs, _, ours = (part.strip() for part in value.rpartition("="))
        if not theirs or not ours or theirs in found:
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: each is a name there and one here, as in 'sre=Editor', "
                f"and each name there stands once."
            )
        found[theirs] = ours
    return found


def commands(name: str, values: Iterable[str]) -> dict[str, frozenset[str]]:
    """Executables, and the environment variables that a step may give to each.

    An executable is a name that is looked for on the PATH, or an absolute path. Its variables follow it, each
    after a colon: 'kubectl:KUBECONFIG:HTTPS_PROXY'.
    """
    found: dict[str, frozenset[str]] = {}
    for value in values:
        command, *variables = value.split(":")
        is_path = command.startswith("/") and os.path.normpath(command) == command
        if not COMMAND_NAME.fullmatch(command) and not is_path:
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: each is a command's name or absolute path, as in "
                f"'systemctl,/usr/sbin/tc', without arguments."
            )
        for variable in variables:
            _check_variable(name, value, variable)
        found[command] = found.get(command, frozenset()) | frozenset(variables)
    return found


def _check_variable(name: str, value: str, variable: str) -> None:
    if not VARIABLE_NAME.fullmatch(variable):
        raise ImproperlyConfigured(
            f"{name} contains {value!r}: after each colon stands the name of an environment variable that "
            f"steps may set for the command, as in 'kubectl:KUBECONFIG:HTTPS_PROXY'."
        )
    if variable in LOADING_VARIABLES or variable.startswith(LOADING_PREFIXES):
        raise ImproperlyConfigured(
            f"{name} contains {value!r}: whoever sets {variable!r} runs code of their own in any command. "
            f"Start a script that sets it, and allow that."
        )


def absolute_directories(name: str, values: Iterable[str]) -> tuple[Path, ...]:
    """Directories that need not be there yet."""
    for value in values:
        if not value.startswith("/") or os.path.normpath(value) != value or value == "/":
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: each is the absolute path of a directory, as in '/run/exchange'."
            )
    return tuple(Path(value) for value in values)


def directory_or_none(name: str, value: str) -> Path | None:
    return next(iter(absolute_directories(name, [value])), None) if value else None


def module_prefixes(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Dotted names of Python modules; each stands for the module and what is in it."""
    for value in values:
        if not all(part.isidentifier() for part in value.split(".")):
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: each is the dotted name of a module, as in 'chaosaws.ec2'."
            )
    return tuple(values)


def variable_prefix(name: str, value: str) -> str:
    """How the names of environment variables begin; an empty prefix would lay all of them open."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ImproperlyConfigured(
            f"{name}={value!r} is no beginning of a variable's name: as in 'SCENARIO_SECRET_'."
        )
    return value


def writable_directory(name: str, path: Path) -> Path:
    """The directory, made where it is missing."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}={str(path)!r} cannot be made ({error.strerror}): "
            f"name a directory that this user may write to."
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(
            f"{name}={str(path)!r} cannot be written: name a directory that this user may write to."
        )
    return path


def kept_secret_key(path: Path) -> str:
    """The secret key in this file, generated on first use.

    Two processes may get here at once: each writes a file of its own and links it into place, and
    all read what the first one left. A link, unlike a rename, never replaces.
    """
    if not path.exists():
        candidate = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(candidate, path)
        except FileExistsError:
            pass
        finally:
            candidate.unlink()
    return path.read_text()
