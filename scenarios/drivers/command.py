"""Runs a command on the coordinator's own host, if the site allows it."""

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from django.conf import settings
from pydantic import AfterValidator, Field, WithJsonSchema

from scenarios.domain.allow_lists import ListName, find_variables
from scenarios.domain.declarations import ABSENT, WHOLE, Declaration, PositiveDuration
from scenarios.domain.errors import StepImpossible, StepNotDone
from scenarios.domain.expectations import format_value
from scenarios.domain.outputs import read_json
from scenarios.domain.results import ALWAYS, Returned
from scenarios.domain.templates import format_scalar, is_templated
from scenarios.drivers.allow_lists import (
    find_bound,
    read_for_check,
    read_for_step,
    refuse_switched_off,
)
from scenarios.drivers.child.process import DEFAULT_PATH, Ended, run_child
from scenarios.ports import Platform

_MAX_LISTED = 10
_SCALAR = {"type": ["string", "number", "boolean"]}


def _check_directory(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(
            f"{path[:80]!r} is not an absolute path: it must begin with '/', for example '/var/tmp'"
        )
    return path


def _check_environment(values: dict[str, Any]) -> dict[str, str]:
    for name, value in values.items():
        if not name.isidentifier() or not name.isascii():
            raise ValueError(f"{name[:80]!r} is not the name of a variable: use letters, digits and '_'")
        if not isinstance(value, str | int | float):
            found = format_value(value)
            raise ValueError(f"{found} is not a value for {name!r}: use text, a number, true or false")  # noqa: TRY004 - pydantic reports ValueErrors
    return {name: format_scalar(value) for name, value in values.items()}


class CommandReturned(Returned):
    exit_code: int = Field(
        json_schema_extra=ALWAYS,
        ge=-64,
        le=255,
        description="A negative number is the signal that ended the command.",
    )
    stdout: str = Field(json_schema_extra=ALWAYS, description="At most 64 KiB.")
    stderr: str = Field(json_schema_extra=ALWAYS, description="At most 64 KiB.")
    json_output: Any = Field(alias="json", description="`stdout`, if it is complete and JSON.")
    elapsed: float = Field(json_schema_extra=ALWAYS, ge=0, description="Seconds until the command ended.")
    note: str = Field(description="A note, if output was cut.")


class CommandArguments(Declaration):
    """`run` is the list of the command and its arguments; no shell is involved.

    With `keep_running`, processes that the command starts keep running after the step.
    """

    Returns: ClassVar[type[Returned]] = CommandReturned
    run: Annotated[list[str], Field(min_length=1)]
    cwd: Annotated[str, AfterValidator(_check_directory)] = "/"
    env: Annotated[
        dict[str, Any],
        AfterValidator(_check_environment),
        WithJsonSchema({"type": "object", "additionalProperties": _SCALAR}),
    ] = {}
    stdin: str = Field(ABSENT)
    timeout: PositiveDuration = 30.0
    keep_running: bool = False
    ok: Annotated[list[Annotated[int, Field(ge=-64, le=255), WHOLE]], Field(min_length=1)] = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        run = values.get("run")
        executable = run[0] if isinstance(run, list) and run else None
        if not isinstance(executable, str) or is_templated(executable):
            return
        env = values.get("env")
        if sentence := _explain_not_allowed(executable):
            yield "run", sentence
        elif isinstance(env, dict) and (sentence := _explain_refused_variables(executable, env)):
            yield "env", sentence


class Command:
    """Runs the commands that ALLOWED_COMMANDS lists. The environment contains only PATH, language, time zone
    and the variables of `env` that ALLOWED_COMMANDS lists for the command. Each output is cut after 64 KiB.
    An action is done if the exit code is 0, or one of `ok` if that is given.

    Processes that the command leaves running are ended. With `keep_running: true` they keep running after the
    command is done; then the command runs in its own session, and its output goes to /dev/null.
    """

    name: ClassVar[str] = "command"
    Arguments: ClassVar[type[CommandArguments]] = CommandArguments
    decided_by: ClassVar[str] = "exit_code"
    is_host_bound: ClassVar[bool] = True

    def check(self, arguments: CommandArguments, platform: Platform) -> None:
        _find_program(arguments)
        _refuse_switched_off(arguments, read_for_check(platform, ListName.COMMANDS))

    async def permit(self, arguments: CommandArguments, platform: Platform) -> None:
        _refuse_switched_off(arguments, await read_for_step(platform, ListName.COMMANDS))

    async def probe(self, arguments: CommandArguments, platform: Platform) -> Mapping[str, Any]:
        await self.permit(arguments, platform)
        return _build_fields(await _run(arguments))

    async def act(self, arguments: CommandArguments, platform: Platform) -> Mapping[str, Any]:
        await self.permit(arguments, platform)
        ended = await _run(arguments)
        if ended.exit_code not in _get_accepted_codes(arguments):
            output = ended.stderr.strip() or ended.stdout.strip()
            said = f": {format_value(output)}" if output else ", and wrote nothing"
            raise StepNotDone(f"{arguments.run[0]!r} ended with exit code {ended.exit_code}{said}")
        return _build_fields(ended)


def _get_accepted_codes(arguments: CommandArguments) -> Collection[int]:
    return arguments.ok or (0,)


def _explain_not_allowed(executable: str) -> str:
    """Why the settings do not allow this executable; '' if they do."""
    if find_variables(settings.ALLOWED_COMMANDS, executable) is not None:
        return ""
    known = ", ".join(map(repr, settings.ALLOWED_COMMANDS)) or "none"
    return f"{executable[:300]!r} is not allowed on this site: ALLOWED_COMMANDS names {known}"


def _explain_refused_variables(executable: str, env: Mapping[str, Any]) -> str:
    """Why the settings do not allow these variables for this command; '' if they do."""
    allowed = find_variables(find_bound(ListName.COMMANDS), executable) or frozenset()
    refused = _list_refused(env, allowed)
    if not refused:
        return ""
    named = ", ".join(map(repr, refused[:_MAX_LISTED]))
    known = ", ".join(map(repr, sorted(allowed))) or "none"
    return (
        f"{named} may not be set for {executable[:300]!r} on this site: ALLOWED_COMMANDS names {known} "
        f"for it (the site can allow it with '{executable[:80]}:{refused[0]}')"
    )


def _list_refused(env: Mapping[str, Any], allowed: Collection[str]) -> list[str]:
    return sorted(str(name)[:80] for name in env if name not in allowed)


def _refuse_switched_off(arguments: CommandArguments, commands: Sequence[str] | None) -> None:
    """Raises StepImpossible if people have switched the command off, or a variable of it."""
    if commands is None:
        return
    executable = arguments.run[0]
    allowed = find_variables(commands, executable)
    if allowed is None:
        refuse_switched_off(f"{executable[:300]!r}", ListName.COMMANDS, commands)
    if refused := _list_refused(arguments.env, allowed or ()):
        what = f"setting {', '.join(map(repr, refused[:_MAX_LISTED]))} for {executable[:300]!r}"
        refuse_switched_off(what, ListName.COMMANDS, commands)


def _find_program(arguments: CommandArguments) -> str:
    """The path of the executable.

    Raises:
        StepImpossible: the site does not allow it or its environment, or it is not installed.
    """
    # Checked again: variables have been filled in, and settings may have changed since the document was
    # saved.
    if sentence := _explain_not_allowed(arguments.run[0]):
        raise StepImpossible(sentence)
    if sentence := _explain_refused_variables(arguments.run[0], arguments.env):
        raise StepImpossible(sentence)
    # With the coordinator's own PATH, not one in the step's `env`.
    path = shutil.which(arguments.run[0], path=os.environ.get("PATH", DEFAULT_PATH))
    if path is None:
        raise StepImpossible(f"{arguments.run[0]!r} is not installed on the coordinator's host")
    return path


async def _run(arguments: CommandArguments) -> Ended:
    return await run_child(
        [_find_program(arguments), *arguments.run[1:]],
        environment=arguments.env,
        directory=arguments.cwd,
        stdin=arguments.stdin or "",
        seconds=arguments.timeout,
        keeps_running_after=_get_accepted_codes(arguments) if arguments.keep_running else (),
    )


def _build_fields(ended: Ended) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "exit_code": ended.exit_code,
        "stdout": ended.stdout,
        "stderr": ended.stderr,
        "elapsed": ended.elapsed,
    }
    if ended.notes:
        return {**fields, "note": "; ".join(ended.notes)}
    # If the output is not JSON, there is no 'json' field, and an expectation for it fails.
    with contextlib.suppress(ValueError, RecursionError):
        fields["json"] = read_json(ended.stdout)
    return fields
