"""The chaostoolkit driver: activities run by the real chaoslib, in a process of their own."""

import asyncio
import subprocess
import sys
import time
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.drivers.chaostoolkit import ChaosToolkit, ChaosToolkitArguments

from .conftest import Platform, child_processes


@pytest.fixture(autouse=True)
def allowed(settings: Settings) -> None:
    settings.ALLOWED_CHAOSTOOLKIT_MODULES = ("email", "json", "posixpath", "os", "http", "chaoslib")


def asked(module: str, func: str, **words: Any) -> ChaosToolkitArguments:
    return ChaosToolkitArguments.model_validate({"module": module, "func": func, **words})


async def test_function_of_an_extension_is_called_and_its_value_returned() -> None:
    arguments = asked("json", "loads", arguments={"s": '{"a": [1, null]}'})
    assert await ChaosToolkit().probe(arguments, Platform()) == {"value": {"a": [1, None]}}


async def test_configuration_and_secrets_reach_the_function_and_fill_its_arguments() -> None:
    arguments = asked(
        "json", "dumps", arguments={"obj": "${host}"}, configuration={"host": "a"}, secrets={"key": "b"}
    )
    assert (await ChaosToolkit().act(arguments, Platform()))["value"] == '"a"'


async def test_printed_output_of_an_activity_is_not_part_of_its_value() -> None:
    arguments = asked("json.tool", "main")
    with pytest.raises(StepFailed, match="SystemExit"):
        await ChaosToolkit().act(arguments, Platform())


@pytest.mark.parametrize(
    ("module", "func", "words", "sentence"),
    [
        ("json", "loads", {"s": "{"}, "'json.loads' failed: json.decoder.JSONDecodeError"),
        ("json", "loads", {"t": 1}, "failed"),
        # It has been called, whatever becomes of what it returned: this one's text cannot be had.
        ("email.message", "Message", {"policy": "x"}, "'email.message.Message' failed: AttributeError"),
        ("os", "_exit", {"status": 3}, "'os._exit' ended its process without a result"),
    ],
)
async def test_failing_activity_fails_the_step(
    module: str, func: str, words: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(StepFailed, match=sentence) as failure:
        await ChaosToolkit().act(asked(module, func, arguments=words), Platform())
    assert not isinstance(failure.value, StepNotSent)


@pytest.mark.parametrize(("module", "func"), [("chaoslib.nowhere", "f"), ("json", "no_such_function")])
async def test_missing_function_makes_the_step_impossible(module: str, func: str) -> None:
    with pytest.raises(StepImpossible, match=f"'{module}.{func}' cannot be called"):
        await ChaosToolkit().act(asked(module, func), Platform())


async def test_activity_does_not_see_the_coordinators_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "for the coordinator alone")
    arguments = asked("os", "getenv", arguments={"key": "SECRET_KEY", "default": "nothing"})
    assert (await ChaosToolkit().probe(arguments, Platform()))["value"] == "nothing"


async def test_value_over_60_kib_is_cut_with_a_note() -> None:
    arguments = asked("posixpath", "join", arguments={"a": "x" * 100_000})
    seen = await ChaosToolkit().probe(arguments, Platform())
    assert len(seen["value"]) == 60 * 1024
    assert "more characters of the value were cut" in seen["note"]


async def test_stop_ends_an_endless_activity() -> None:
    serving = asked("http.server", "test", arguments={"port": 0, "bind": "127.0.0.1"})
    before = child_processes()
    step = asyncio.create_task(ChaosToolkit().act(serving, Platform()))
    assert (await asyncio.wait({step}, timeout=0.5))[1] == {step}
    started = time.perf_counter()
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert time.perf_counter() - started < 60  # the activity never ends by itself
    assert child_processes() == before


def test_module_that_is_not_allowed_is_refused_when_the_document_is_read() -> None:
    with pytest.raises(ValidationError, match="'subprocess' is not allowed on this site"):
        asked("subprocess", "run")
    with pytest.raises(ValidationError, match="'jsonx' is not allowed on this site"):
        asked("jsonx", "run")


async def test_module_is_checked_again_before_the_call(settings: Settings) -> None:
    saved = asked("json", "loads")
    settings.ALLOWED_CHAOSTOOLKIT_MODULES = ()
    with pytest.raises(StepImpossible, match="ALLOWED_CHAOSTOOLKIT_MODULES names none"):
        await ChaosToolkit().act(saved, Platform())


def test_reading_a_document_imports_neither_chaoslib_nor_the_named_module() -> None:
    script = (
        "import sys; from django.conf import settings\n"
        "settings.configure(ALLOWED_CHAOSTOOLKIT_MODULES=['wave'])\n"
        "from scenarios.drivers.chaostoolkit import ChaosToolkitArguments\n"
        "ChaosToolkitArguments.model_validate({'module': 'wave', 'func': 'open'})\n"
        "print(sorted({'chaoslib', 'wave'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=600
    )
    assert ended.stdout.strip() == "[]"
