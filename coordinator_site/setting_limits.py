"""Settings that limit what scenarios may do."""

import os
import re
from collections.abc import Iterable

from django.core.exceptions import ImproperlyConfigured

from coordinator_site.environment import dns_label

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


def secret_name(name: str, value: str) -> str:
    """The name of a secret, or nothing."""
    if value and not VARIABLE_NAME.fullmatch(value):
        raise ImproperlyConfigured(
            f"{name}={value!r} is not the name of a secret: use letters, digits and '_', as in "
            f"'PROMETHEUS_TOKEN'."
        )
    return value
