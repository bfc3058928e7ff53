"""Log lines: one shape for all, with the ids of what they belong to, and without secrets."""

import json
import logging
import logging.config
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from coordinator_site import environment, logs
from coordinator_site.request_id import choose_id
from scenarios.domain import log_context
from scenarios.drivers.platform import ConfiguredSecrets


@contextmanager
def logging_as(shape: str) -> Iterator[tuple[logging.Logger, StringIO]]:
    """A logger of its own, its lines in the shape."""
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.formatter(log_format=shape, service="coordinator", instance="one"))
    logger = logging.Logger("scenarios.supervision.watchdog")  # noqa: LOG001 - known to nobody else
    logger.addHandler(handler)
    yield logger, written


def write_line(words: str, *arguments: Any, **more: Any) -> dict[str, Any]:
    with logging_as("json") as (logger, written):
        logger.warning(words, *arguments, **more)
    (line,) = written.getvalue().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_is_json_with_its_level_its_words_its_logger_and_its_instance() -> None:
    line = write_line("run %s is lost", "a1")
    assert list(line)[:4] == ["timestamp", "level", "event", "logger"]
    assert line["event"] == "run a1 is lost"
    assert (line["level"], line["logger"], line["instance"]) == (
        "warning",
        "scenarios.supervision.watchdog",
        "one",
    )


def test_a_line_has_the_bound_fields_only_within_the_block() -> None:
    log_context.begin(request_id="r-1")
    with log_context.binding(run_id="a1"):
        assert (write_line("x")["request_id"], write_line("x")["run_id"]) == ("r-1", "a1")
    assert "run_id" not in write_line("x")
    log_context.begin(request_id="r-2")
    assert write_line("x")["request_id"] == "r-2"


def test_an_exception_is_shown_without_the_values_of_variables() -> None:
    password = "elbairav a ni"[::-1]  # so that the line of code does not show it
    try:
        int(password[:4])
    except ValueError:
        line = write_line("failed", exc_info=True)
    assert "ValueError: invalid literal" in line["exception"]
    assert password not in json.dumps(line)


@pytest.mark.parametrize(
    "words",
    [
        "Authorization: Bearer abcdef.123",
        "token tc_0123456789abcdef was refused",
        "postgres://coordinator:abcdef123@host/name",
        "it answered hunter-2-hunter",
        "it answered hunter%2D2%2Dhunter",
    ],
)
def test_no_line_shows_a_secret_or_what_looks_like_one(words: str) -> None:
    logs.learn_secrets({"SCENARIO_SECRET_KEY_OF_IT": "hunter-2-hunter", "SHORT_TOKEN": "e"})
    line = json.dumps(write_line(words))
    assert "***" in line
    for secret in ("abcdef", "0123456789", "hunter"):
        assert secret not in line


@pytest.mark.parametrize(
    "words",
    [
        "Listening at: http://127.0.0.1:8080 (4711)",
        "GET http://exchange:9101/orders?side=sell failed",
        "https://prometheus.example:9090, 'http://[::1]:80'",
    ],
)
def test_a_port_is_no_password(words: str) -> None:
    assert write_line(words)["event"] == words


@pytest.mark.parametrize("words", ["redis://user:123456@host:6379/0", "http://u:1234/x@host", "//u:99999x"])
def test_possible_password_is_redacted_even_if_it_begins_with_digits(words: str) -> None:
    assert "***" in write_line(words)["event"]
    assert not re.search("1234|99999", write_line(words)["event"])


def test_resolved_secret_is_redacted_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCENARIO_SECRET_EXCHANGE", "open-up-exchange")
    assert ConfiguredSecrets().secret("EXCHANGE") == "open-up-exchange"
    assert write_line("sent open-up-exchange")["event"] == "sent ***"


def test_a_password_in_an_address_of_the_environment_is_known() -> None:
    logs.learn_secrets({"DATABASE_URL": "postgres://user:p%40ss-w0rd@host/name"})
    assert write_line("FATAL: p@ss-w0rd")["event"] == "FATAL: ***"


def test_a_request_in_the_extras_is_not_shown() -> None:
    line = write_line("Not Found: /x", extra={"status_code": 404, "request": "GET /x?token=1"})
    assert line["status_code"] == 404
    assert "request" not in line


def test_log_output_cannot_control_a_terminal_or_forge_a_line() -> None:
    with logging_as("console") as (logger, written):
        logger.warning("a\n2026 [info] made up \x1b[2J")
    assert written.getvalue().count("\n") == 1
    assert "\\x1b[2J" in written.getvalue()


@pytest.mark.parametrize("sent", ["a1", "Root=1-67891233-abcdef012345678912345678", "x" * 128])
def test_a_request_keeps_the_id_it_was_sent_with(sent: str) -> None:
    assert choose_id(sent) == sent


@pytest.mark.parametrize("sent", [None, "", "x" * 129, "a b", "a\nb", 'a"b', "é", "<b>"])
def test_a_request_with_no_id_or_an_odd_one_gets_a_new_one(sent: str | None) -> None:
    new = choose_id(sent)
    assert new != sent
    assert len(new) == 32


@pytest.mark.parametrize(("name", "value"), [("LOG_FORMAT", "xml"), ("LOG_LEVEL", "LOUD")])
def test_an_unknown_format_or_level_is_refused(name: str, value: str) -> None:
    known = logs.FORMATS if name == "LOG_FORMAT" else logs.LEVELS
    with pytest.raises(ImproperlyConfigured, match=f"{name}='{value}' is unknown; choose one of"):
        environment.one_of(name, value, known)


def test_production_and_everything_that_is_not_a_terminal_write_json() -> None:
    assert logs.default_format(production=True) == "json"
    assert logs.default_format(production=False) == "json"  # under pytest nobody looks at standard error
