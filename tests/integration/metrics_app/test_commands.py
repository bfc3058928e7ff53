"""Management commands, as cron starts them and as code calls them."""

from collections.abc import Iterator
from time import time

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from metrics_app import commands
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from tests.metrics_settings import override_metrics

COMMAND = {"command": "test_commands"}


class Nightly(BaseCommand):
    """Ends as it is told to."""

    error: BaseException | None = None

    def handle(self, **_options: object) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(BaseCommand, "execute", BaseCommand.execute)
    with override_metrics(COMMANDS=True):
        commands.watch()
        yield


def finished(metrics: InMemoryMetricsAdapter, outcome: str) -> float:
    return metrics.value("management_commands_finished_total", {**COMMAND, "outcome": outcome})


def exit_code(metrics: InMemoryMetricsAdapter) -> float:
    return metrics.value("management_command_last_exit_code", COMMAND)


def test_a_command_that_succeeds_is_counted_and_timed(metrics: InMemoryMetricsAdapter) -> None:
    before = time()
    call_command(Nightly())
    assert (finished(metrics, "succeeded"), finished(metrics, "failed"), exit_code(metrics)) == (1, 0, 0)
    last = metrics.value("management_command_last_success_timestamp_seconds", COMMAND)
    assert before <= last <= time()
    assert len(metrics.observations("management_command_duration_seconds", COMMAND)) == 1
    assert metrics.value("management_commands_in_progress", COMMAND) == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandError("no disk", returncode=3), 3),
        (ValueError("a bug"), 1),
        (SystemExit(4), 4),
        (SystemExit("a sentence"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=repr,
)
def test_a_command_that_fails_shows_its_exit_code_and_keeps_its_last_success(
    metrics: InMemoryMetricsAdapter, error: BaseException, code: int
) -> None:
    call_command(Nightly())
    last = metrics.value("management_command_last_success_timestamp_seconds", COMMAND)
    command = Nightly()
    command.error = error
    with pytest.raises(type(error)):
        call_command(command)
    assert (finished(metrics, "failed"), exit_code(metrics)) == (1, code)
    assert metrics.value("management_command_last_success_timestamp_seconds", COMMAND) == last


@pytest.mark.parametrize("code", [0, None])
def test_a_command_that_exits_with_0_succeeded(metrics: InMemoryMetricsAdapter, code: int | None) -> None:
    command = Nightly()
    command.error = SystemExit(code)
    with pytest.raises(SystemExit):
        call_command(command)
    assert (finished(metrics, "succeeded"), exit_code(metrics)) == (1, 0)


def test_a_command_is_recorded_once_however_often_the_app_gets_ready(metrics: InMemoryMetricsAdapter) -> None:
    commands.watch()
    call_command(Nightly())
    assert finished(metrics, "succeeded") == 1


def test_nothing_is_recorded_where_the_setting_is_off(metrics: InMemoryMetricsAdapter) -> None:
    with override_metrics(COMMANDS=False):
        call_command(Nightly())
    assert "management_command" not in metrics.get_http_handler()("").decode()
