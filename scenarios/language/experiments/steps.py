"""Translates an experiment's providers into steps of the language."""

import re
import shlex
from typing import Any
from urllib.parse import urlencode

from scenarios.language.experiments.notes import Notes, get_fields, get_plain
from scenarios.language.experiments.values import Values
from scenarios.language.yaml_nodes import Node

_HTTP = {"type", "url", "method", "headers", "arguments", "timeout", "verify_tls", "max_retries"}
# Of `retry` of an action.
_MAX_RETRIES = 100
_PROCESS = {"type", "path", "arguments", "timeout"}
_PYTHON = {"type", "module", "func", "arguments", "secrets", "timeout"}
# Characters that have a meaning only in a shell.
_SHELL = re.compile(r"[|&;<>()`*?\[\]~#\n]|\$\(")
Step = dict[str, dict[str, Any]]


def translate_step(activity: Node, name: str, values: Values, notes: Notes) -> Step | None:
    """The step of the activity; None, with a note, if it cannot be translated."""
    provider = activity.value.get("provider")
    kind = get_plain(get_fields(provider).get("type"))
    translate = {"http": _translate_http, "process": _translate_process, "python": _translate_python}.get(
        str(kind)
    )
    if provider is None or translate is None:
        notes.add(activity, f"activity {name!r} is not carried over: its provider has the type {kind!r}")
        return None
    return translate(provider, name, values, notes)


def read_timeout(activity: Node) -> str | None:
    """The timeout in seconds; two numbers are for connecting and reading, and are added."""
    given = get_plain(get_fields(activity.value.get("provider")).get("timeout"))
    if isinstance(given, list):
        numbers = [number for number in given if isinstance(number, int | float)]
        given = sum(numbers) if numbers else None
    return format_seconds(given) if given else None


def format_seconds(given: Any) -> str:
    """A duration from a number of seconds, or a reference to one: '${pause}' becomes '${pause}s'."""
    if isinstance(given, float):
        return f"{given:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{given}s"


def _translate_http(provider: Node, name: str, values: Values, notes: Notes) -> Step:
    notes.add_unknown(provider, _HTTP, f"activity {name!r}")
    words = {key: values.filled(get_plain(provider.value.get(key))) for key in ("url", "method", "headers")}
    step = {key: value for key, value in words.items() if value}
    step |= _translate_verification(provider, name, str(words["url"]), notes)
    arguments = values.filled(get_plain(provider.value.get("arguments")))
    if arguments:
        step |= _translate_payload(str(step.get("method", "GET")).upper(), step.get("headers"), arguments)
    return {"http": step}


def _translate_verification(provider: Node, name: str, url: str, notes: Notes) -> dict[str, Any]:
    given = get_plain(provider.value.get("verify_tls"), default=True)
    if isinstance(given, bool):
        # Without TLS it has no meaning, and `tls` is refused.
        return {} if given or url.lower().startswith("http://") else {"tls": {"verify": False}}
    message = f"'verify_tls' of activity {name!r} is {given!r:.80}, which is not carried over"
    hint = "put the authorities into CERTIFICATE_DIR, and name the file with 'tls: {ca: NAME}'"
    notes.add(provider.keys["verify_tls"], message, hint)
    return {}


def read_retries(activity: Node, name: str, notes: Notes, *, is_action: bool) -> int:
    """How often an action is tried again; 0 with a note, if it cannot be carried over."""
    provider = activity.value.get("provider")
    given = get_plain(get_fields(provider).get("max_retries"))
    if provider is None or given in (None, 0):
        return 0
    if is_action and type(given) is int and 0 < given <= _MAX_RETRIES:
        return given
    hint = "" if is_action else "repeat the probe with 'within'"
    notes.add(provider.keys["max_retries"], f"'max_retries' of activity {name!r} is not carried over", hint)
    return 0


def _translate_payload(method: str, headers: Any, arguments: Any) -> dict[str, Any]:
    if method == "GET":
        return {"query": arguments}
    headers = headers if isinstance(headers, dict) else {}
    kinds = [str(value) for key, value in headers.items() if key.lower() == "content-type"]
    if kinds and "json" in kinds[0]:
        return {"json": arguments}
    if isinstance(arguments, dict):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        # References are kept: they are filled in later.
        return {"body": urlencode(arguments, safe="${}:"), "headers": headers | ({} if kinds else form)}
    return {"body": str(arguments)}


def _translate_process(provider: Node, name: str, values: Values, notes: Notes) -> Step | None:
    notes.add_unknown(provider, _PROCESS, f"activity {name!r}")
    given = provider.value.get("arguments")
    arguments = get_plain(given) or []
    if isinstance(arguments, dict):
        arguments = [part for pair in arguments.items() for part in pair]
    elif not isinstance(arguments, str | list):
        arguments = [arguments]
    if isinstance(arguments, str):
        words = _split_words(arguments)
        if words is None:
            notes.add(
                given or provider,
                f"activity {name!r} is not carried over: a shell reads its arguments, {arguments!r:.120}",
                "write a script, and run it with 'command'",
            )
            return None
        arguments = words
    run = [get_plain(provider.value.get("path")), *arguments]
    filled = (values.filled(word) for word in run if word not in (None, ""))
    return {"command": {"run": [word if isinstance(word, str) else str(word) for word in filled]}}


def _split_words(line: str) -> list[str] | None:
    """The words of a command line; None if a shell would change its meaning."""
    try:
        return None if _SHELL.search(line) else shlex.split(line)
    except ValueError:
        return None


def _translate_python(provider: Node, name: str, values: Values, notes: Notes) -> Step:
    notes.add_unknown(provider, _PYTHON, f"activity {name!r}")
    words: dict[str, Any] = {key: get_plain(provider.value.get(key)) for key in ("module", "func")}
    extras = {
        "arguments": values.filled(get_plain(provider.value.get("arguments"))),
        "configuration": values.configuration(),
        "secrets": values.secrets(get_plain(provider.value.get("secrets"))),
    }
    return {"chaostoolkit": words | {key: value for key, value in extras.items() if value}}
