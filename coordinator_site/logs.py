"""Log lines: JSON for programs, readable in a terminal. All of them come by the standard logging.

Read by gunicorn's configuration, too, before there is a Django.
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
# Of what a logger gives beside its words: a request, for one, would show its whole query.
KEPT_EXTRAS = ["status_code"]
# Shorter ones would be struck out of everything.
MIN_SECRET_LENGTH = 6
_SECRET_NAME = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|_KEY$")
# Digits up to the end of an address, or up to its path, are a port.
_PORT = r"(?!\d{1,5}(?:[/?#][^\s@,'\"]*)?(?:[\s,'\")]|$))"
_CREDENTIALS = re.compile(
    rf"(?i)(\bbearer\s+|\bbasic\s+|//(?:\[[0-9a-f:.]+\]|[^/\s:@\[]*):{_PORT})[^\s@,'\"]+(@?)|\btc_[A-Za-z0-9_-]{{8,}}"
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Their own handlers would write beside ours, in another shape.
PLAIN_LOGGERS = ("django", "django.server", "gunicorn.error", "gunicorn.access", "rq.worker")


def default_format(*, production: bool) -> str:
    return "json" if production or not sys.stderr.isatty() else "console"


def logging_config(shape: str, level: str, *, service: str, instance: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`."""
    formatter = {"()": "coordinator_site.logs.formatter", "shape": shape}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {**formatter, "service": service, "instance": instance}},
        # The handler has the level, too: some commands set that of their own loggers.
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "level": level}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            **{name: {"handlers": [], "propagate": True} for name in PLAIN_LOGGERS},
            "environ": {"level": "WARNING"},  # it tells every time that there is no .env
        },
    }


def formatter(*, shape: str, service: str, instance: str) -> logging.Formatter:
    def about(_logger: Any, _method: str, event: EventDict) -> EventDict:
        return {**event, **log_context.bound(), "service": service, "instance": instance}

    before: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=KEPT_EXTRAS),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        about if shape == "json" else _in_a_terminal,
        structlog.processors.format_exc_info,  # without the values of variables
        redact,
    ]
    last: Processor = structlog.processors.JSONRenderer(serializer=_json)
    if shape == "console":
        last = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    finish: Sequence[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=finish)


def _in_a_terminal(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Whose service and instance it is one knows there. No character of the words may steer the terminal."""
    words = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), str(event["event"]))
    return {**event, **log_context.bound(), "event": words}


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Strike out the secrets that this process knows, and what looks like credentials."""
    known: EventDict = log_context.redactor.redact(event)
    return {
        name: _CREDENTIALS.sub(_struck, value) if isinstance(value, str) else value
        for name, value in known.items()
    }


def _struck(found: re.Match[str]) -> str:
    return f"{found[1] or ''}***{found[2] or ''}"


def _json(event: EventDict, **_options: Any) -> str:
    first = ("timestamp", "level", "event", "logger")
    ordered = {**{name: event[name] for name in first}, **event}
    return json.dumps(ordered, default=repr)


def learn_secrets(environment: Mapping[str, str], *more: str) -> None:
    """Whatever in the environment is named as a secret, and the passwords in its addresses."""
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
