"""Log lines, as JSON or for a terminal; all go through the standard library's logging.

Gunicorn's configuration imports this module before Django is set up.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from structlog.typing import EventDict, Processor

from scenarios.domain import log_context

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FORMATS = ("json", "console")
# Extras that are logged; others, as a request, would show a whole query string.
KEPT_EXTRAS = ["status_code"]
# Shorter values occur in ordinary text.
MIN_SECRET_LENGTH = 6
_SECRET_NAME = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|_KEY$")
# Digits before the path or the end of a URL are a port.
_PORT = r"(?!\d{1,5}(?:[/?#][^\s@,'\"]*)?(?:[\s,'\")]|$))"
_CREDENTIALS = re.compile(
    rf"(?i)(\bbearer\s+|\bbasic\s+|//(?:\[[0-9a-f:.]+\]|[^/\s:@\[]*):{_PORT})[^\s@,'\"]+(@?)|\btc_[A-Za-z0-9_-]{{8,}}"
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Their own handlers would write every line twice, in another format.
PLAIN_LOGGERS = ("django", "django.server", "gunicorn.error", "gunicorn.access", "rq.worker")


def default_format(*, production: bool) -> str:
    return "json" if production or not sys.stderr.isatty() else "console"


def logging_config(log_format: str, level: str, *, service: str, instance: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`."""
    formatter = {"()": "coordinator_site.logs.formatter", "log_format": log_format}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {**formatter, "service": service, "instance": instance}},
        # The handler also has the level, because some commands set the level of their own loggers.
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "level": level}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            **{name: {"handlers": [], "propagate": True} for name in PLAIN_LOGGERS},
            "asyncssh": {"level": "WARNING"},  # it logs each step of each connection
            "environ": {"level": "WARNING"},  # it logs each missing .env
        },
    }


def formatter(*, log_format: str, service: str, instance: str) -> logging.Formatter:
    def about(_logger: Any, _method: str, event: EventDict) -> EventDict:
        return {**event, **log_context.bound(), "service": service, "instance": instance}

    before: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=KEPT_EXTRAS),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        about if log_format == "json" else _prepare_for_terminal,
        structlog.processors.format_exc_info,  # without the values of variables
        redact,
    ]
    last: Processor = structlog.processors.JSONRenderer(serializer=_json)
    if log_format == "console":
        last = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    finish: Sequence[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=finish)


def _prepare_for_terminal(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Without service and instance, which are known there; control characters are escaped."""
    words = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), str(event["event"]))
    return {**event, **log_context.bound(), "event": words}


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Redact the secrets that this process knows, and everything that looks like credentials."""
    known: EventDict = log_context.redactor.redact(event)
    return {
        name: _CREDENTIALS.sub(_redact_match, value) if isinstance(value, str) else value
        for name, value in known.items()
    }


def _redact_match(found: re.Match[str]) -> str:
    return f"{found[1] or ''}***{found[2] or ''}"


def _json(event: EventDict, **_options: Any) -> str:
    first = ("timestamp", "level", "event", "logger")
    ordered = {**{name: event[name] for name in first}, **event}
    return json.dumps(ordered, default=repr)


def learn_secrets(environment: Mapping[str, str], *more: str) -> None:
    """Learn the values of variables that are named like secrets, and the passwords in URLs."""
    values = [value for name, value in environment.items() if _SECRET_NAME.search(name.upper())]
    values += [_password(value) for name, value in environment.items() if name.upper().endswith("_URL")]
    for value in (*values, *more):
        if len(value) >= MIN_SECRET_LENGTH:
            log_context.redactor.learn(value)


def _password(address: str) -> str:
    try:
        return unquote(urlsplit(address).password or "")
    except ValueError:
        return ""
