"""Reads settings from the environment; an invalid value is refused with the rule and a hint."""

import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import environ
from django.core.exceptions import ImproperlyConfigured

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
MAX_PORT = 65535
MAIL_SCHEMES = frozenset({"smtp", "smtp+tls", "smtp+ssl"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HOST_NAME = re.compile(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]")
CERTIFICATE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The dynamic linker or a language's runtime loads code from the file that one of these names.
LOADING_VARIABLES = frozenset(
    {"BASH_ENV", "ENV", "GCONV_PATH", "IFS", "NODE_OPTIONS", "NODE_PATH", "RUBYLIB", "RUBYOPT", "SHELLOPTS"}
)
LOADING_PREFIXES = ("DYLD_", "LD_", "PERL5", "PYTHON")
HOST_IDENTITY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,56}[A-Za-z0-9])?")
# As in scenarios/drivers/host_arguments.py, which a test compares.
HOST_FAULT_KINDS = (
    "pause",
    "kill",
    "restart",
    "stop",
    "blackhole",
    "reset",
    "loss",
    "latency",
    "bandwidth",
    "dns",
    "cpu",
    "memory",
    "io",
    "disk",
)
COMMAND_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


T = TypeVar("T")


class Environment(environ.Env):  # type: ignore[misc]
    """django-environ's `Env`, for values that are checked by one of the functions below."""

    def read(self, check: Callable[..., T], name: str, default: object, **rule: Any) -> T:
        """The variable, or the default, as the function returns it.

        Raises:
            ImproperlyConfigured: with the variable's name, its value, the rule and a hint.
        """
        return check(name, self.str(name, str(default)), **rule)

    def read_list(self, check: Callable[[str, list[str]], T], name: str, default: list[str]) -> T:
        """As `read`, for values separated by commas."""
        return check(name, self.list(name, default=default))


def boolean(name: str, value: str) -> bool:
    """A misspelled word is refused, because taking it for False without a word would be worse."""
    word = value.strip().lower()
    if word in TRUE_WORDS | FALSE_WORDS:
        return word in TRUE_WORDS
    raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false; use 'true' or 'false'.")


def whole_number(name: str, value: str, *, lowest: int, highest: int) -> int:
    if not re.fullmatch(r"[0-9]+", value.strip()) or not lowest <= int(value) <= highest:
        raise ImproperlyConfigured(f"{name}={value!r} is not a whole number from {lowest} to {highest}.")
    return int(value)


def one_of(name: str, value: str, choices: Iterable[str]) -> str:
    if value in choices:
        return value
    raise ImproperlyConfigured(f"{name}={value!r} is unknown; choose one of {', '.join(sorted(choices))}.")


def dns_label(name: str, value: str) -> str:
    if DNS_LABEL.fullmatch(value):
        return value
    raise ImproperlyConfigured(
        f"{name}={value!r} is not a DNS label: use a-z, 0-9 and inner '-', at most 63 characters, "
        f"as in 'test-coordinator'."
    )


def dns_labels(name: str, values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dns_label(name, value) for value in values)


def protected_namespaces(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Names of namespaces, or '*' for all."""
    return tuple("*" if value == "*" else dns_label(name, value) for value in values)


def object_kinds(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Kinds of Kubernetes objects with their API version, as 'apps/v1/Deployment' or 'v1/ConfigMap'."""
    for value in values:
        if not re.fullmatch(r"([a-z0-9][-a-z0-9.]*/)?v[0-9][a-z0-9]*/[A-Z][A-Za-z0-9]*", value):
            raise ImproperlyConfigured(
                f"{name} contains {value!r}, which is not a kind of objects; write it as "
                "'apps/v1/Deployment' or 'v1/ConfigMap'."
            )
    return tuple(values)


def networks(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """IP networks in CIDR notation."""
    for value in values:
        try:
            ipaddress.ip_network(value)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} contains {value!r}, which is not a network ({error}); write it as '10.0.0.0/8'."
            ) from error
    return tuple(values)


def web_address(name: str, value: str) -> str:
    """An http(s) URL, or nothing."""
    try:
        parts = urlsplit(value)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed bracket, an invalid port
        fits = False
    if value and not fits:
        raise ImproperlyConfigured(
            f"{name}={value!r} is not a web address; write it as 'http://127.0.0.1:9090'."
        )
    return value


def secret_name(name: str, value: str) -> str:
    """The name of a secret, or nothing."""
    if value and not VARIABLE_NAME.fullmatch(value):
        raise ImproperlyConfigured(
            f"{name}={value!r} is not the name of a secret: use letters, digits and '_', as in "
            f"'PROMETHEUS_TOKEN'."
        )
    return value


def certificate_name(name: str, value: str) -> str:
    """The name of a file in CERTIFICATE_DIR, or nothing."""
    if value and not CERTIFICATE_NAME.fullmatch(value):
        raise ImproperlyConfigured(
            f"{name}={value!r} is not the name of a file in CERTIFICATE_DIR, such as 'prometheus-ca.pem'."
        )
    return value


def prometheus_auth(*, token: str, user: str, password: str) -> dict[str, Any]:
    """`auth` of the requests to PROMETHEUS_URL, with references to secrets."""
    if token and (user or password):
        raise ImproperlyConfigured(
            "PROMETHEUS_TOKEN_SECRET cannot be combined with PROMETHEUS_USER and PROMETHEUS_PASSWORD_SECRET: "
            "set one or the other."
        )
    if bool(user) != bool(password):
        missing = "PROMETHEUS_PASSWORD_SECRET" if user else "PROMETHEUS_USER"
        raise ImproperlyConfigured(f"{missing} is missing: a user needs a password, and the other way round.")
    if user:
        return {"basic": {"user": user, "password": f"${{secret:{password}}}"}}
    return {"bearer": f"${{secret:{token}}}"} if token else {}


def prometheus_tls(*, verify: bool, ca: str, certificate: str) -> dict[str, Any]:
    """`tls` of the requests to PROMETHEUS_URL."""
    if ca and not verify:
        raise ImproperlyConfigured("PROMETHEUS_CA has no effect with PROMETHEUS_VERIFY=false: remove one.")
    found = {"ca": ca, "certificate": certificate}
    return ({} if verify else {"verify": False}) | {word: file for word, file in found.items() if file}


def web_addresses(name: str, values: Iterable[str]) -> tuple[str, ...]:
    return tuple(web_address(name, value.strip()) for value in values if value.strip())


def mail_server(name: str, value: str) -> str:
    """An address that django-environ's `email_url` takes, or nothing."""
    try:
        parts = urlsplit(value)
        fits = parts.scheme in MAIL_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed bracket, an invalid port
        fits = False
    if value and not fits:
        raise ImproperlyConfigured(
            f"{name} is not the address of a mail server; write it as "
            "'smtp+tls://user:password@mail.example.com:587', or with smtp:// or smtp+ssl://."
        )
    return value


def mailbox(name: str, value: str) -> str:
    if not re.fullmatch(r"([^<>@]+ <)?[^<>@\s]+@[^<>@\s]+>?", value):
        raise ImproperlyConfigured(f"{name}={value!r} is not a mailbox; write it as 'runs@example.com'.")
    return value


def trace_address(name: str, value: str) -> str:
    """The address of a page that shows a trace, with '{trace_id}' where its id belongs, or nothing."""
    if value and "{trace_id}" not in value:
        raise ImproperlyConfigured(
            f"{name}={value!r} does not say where the id of the trace belongs; write it as "
            "'https://jaeger.example.com/trace/{trace_id}'."
        )
    return web_address(name, value)


def header_values(name: str, values: Iterable[str]) -> dict[str, str]:
    """HTTP headers, each as 'name=value', percent-encoded as OpenTelemetry specifies."""
    found: dict[str, str] = {}
    for value in values:
        header, equals, content = value.partition("=")
        header, content = header.strip(), unquote(content.strip())
        if not equals or not _HEADER_NAME.fullmatch(header) or not content.isprintable():
            # Without the value, which may be a password.
            raise ImproperlyConfigured(
                f"{name} has {header!r}, which is not a header; write each as 'name=value'."
            )
        found[header] = content
    return found


def with_time_limits(redis_url: str) -> str:
    """The URL of Redis with socket timeouts in seconds, unless it has its own.

    RQ's workers, which wait for messages, raise the timeout for themselves.
    """
    parts = urlsplit(redis_url)
    limits = {"socket_timeout": "2", "socket_connect_timeout": "2"}
    query = {**limits, **dict(parse_qsl(parts.query, keep_blank_values=True))}
    return urlunsplit(parts._replace(query=urlencode(query)))


def host_names(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Hosts as in ALLOWED_HOSTS, without '*'; '.example.com' stands for that name and its subdomains."""
    for value in values:
        if not HOST_NAME.fullmatch(value):
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: use host names without a port, as in "
                f"'hooks.example.com' or '.example.com'; there is no name for all hosts."
            )
    return tuple(value.lower() for value in values)


def host_identity(name: str, value: str) -> str:
    """The name of a host in the ledger, or ""."""
    if value and not HOST_IDENTITY.fullmatch(value):
        raise ImproperlyConfigured(
            f"{name}={value!r} is not a host name: use letters, digits, '.', '-' and '_', at most 58 "
            f"characters, as in 'shop-1'."
        )
    return value


def host_identities(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Names of hosts, or '*' for all of them."""
    return tuple(value if value == "*" else host_identity(name, value) for value in values if value)


def pairs(name: str, values: Iterable[str]) -> dict[str, str]:
    """Names of the provider's groups and of groups here, each as 'theirs=ours'."""
    found: dict[str, str] = {}
    for value in values:
        theirs, _, ours = (part.strip() for part in value.rpartition("="))
        if not theirs or not ours or theirs in found:
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: map each of the provider's groups once to a group here, "
                f"as in 'sre=Editor'."
            )
        found[theirs] = ours
    return found


def commands(name: str, values: Iterable[str]) -> dict[str, frozenset[str]]:
    """Executables, and the environment variables that a step may set for each.

    An executable is a name on the PATH or an absolute path. Its variables follow, each after a colon:
    'kubectl:KUBECONFIG:HTTPS_PROXY'.
    """
    found: dict[str, frozenset[str]] = {}
    for value in values:
        command, *variables = value.split(":")
        is_path = command.startswith("/") and os.path.normpath(command) == command
        if not COMMAND_NAME.fullmatch(command) and not is_path:
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: use names or absolute paths of commands, without "
                f"arguments, as in 'systemctl,/usr/sbin/tc'."
            )
        for variable in variables:
            _check_variable(name, value, variable)
        found[command] = found.get(command, frozenset()) | frozenset(variables)
    return found


def _check_variable(name: str, value: str, variable: str) -> None:
    if not VARIABLE_NAME.fullmatch(variable):
        raise ImproperlyConfigured(
            f"{name} contains {value!r}: write the name of an environment variable after each colon, as in "
            f"'kubectl:KUBECONFIG:HTTPS_PROXY'."
        )
    if variable in LOADING_VARIABLES or variable.startswith(LOADING_PREFIXES):
        raise ImproperlyConfigured(
            f"{name} contains {value!r}: {variable!r} lets a step run its own code in any command. "
            f"Allow a script that sets it instead."
        )


def absolute_directories(name: str, values: Iterable[str]) -> tuple[Path, ...]:
    """Directories, which need not exist yet."""
    for value in values:
        if not value.startswith("/") or os.path.normpath(value) != value or value == "/":
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: use absolute paths of directories, as in '/run/exchange'."
            )
    return tuple(Path(value) for value in values)


def directory_or_none(name: str, value: str) -> Path | None:
    return next(iter(absolute_directories(name, [value])), None) if value else None


def absolute_paths(name: str, values: Iterable[str]) -> tuple[Path, ...]:
    """Files, which need not exist yet."""
    for value in values:
        if not value.startswith("/"):
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: use absolute paths, as in '/etc/coordinator/ssh-key'."
            )
    return tuple(Path(value) for value in values)


def absolute_path_or_none(name: str, value: str) -> Path | None:
    return next(iter(absolute_paths(name, [value])), None) if value else None


def host_fault_kinds(name: str, values: Iterable[str]) -> tuple[str, ...]:
    for value in values:
        if value not in HOST_FAULT_KINDS:
            raise ImproperlyConfigured(
                f"{name} contains {value!r}, which is not a kind; choose from {', '.join(HOST_FAULT_KINDS)}."
            )
    return tuple(values)


def module_prefixes(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Dotted names of Python modules; each includes its submodules."""
    for value in values:
        if not all(part.isidentifier() for part in value.split(".")):
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: use dotted names of modules, as in 'chaosaws.ec2'."
            )
    return tuple(values)


def variable_prefix(name: str, value: str) -> str:
    """How the names of environment variables begin. An empty prefix would expose all of them."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ImproperlyConfigured(
            f"{name}={value!r} is not the beginning of a variable's name, as 'SCENARIO_SECRET_' is."
        )
    return value


def writable_directory(name: str, path: Path) -> Path:
    """The directory, created if it is missing."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}={str(path)!r} cannot be created ({error.strerror}): "
            f"name a directory that this user may write to."
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(
            f"{name}={str(path)!r} is not writable: name a directory that this user may write to."
        )
    return path


def kept_secret_key(path: Path) -> str:
    """The secret key in this file, generated on first use.

    Two processes may do this at once. Each writes its own file and links it into place, and all read the
    first one, because a link, unlike a rename, never replaces a file.
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
